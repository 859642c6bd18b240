"""Peak memory of circuit experiments: what they were allowed, besides the activations that they keep."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench
MIB = 1 << 20
SCRIPT = """
import resource, torch
from circuits import ablate, patch
from interp import HookedTransformer, Subject, TransformerConfig

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

model = HookedTransformer(TransformerConfig(4, 128, 8, 16, 64, 64, 32, d_mlp=512)).init_weights(0, 2.0)
clean, corrupted = torch.randint(0, 64, (2, 256, 32), generator=torch.Generator().manual_seed(0))
subject = Subject("4 layers", model, precision=torch.float32)

def score(outputs):
    return outputs.log_softmax(-1)[..., 0].mean(-1)

{warm}
before = peak()
{run}
print(peak() - before)
"""
ABLATE = 'ablate(subject, "neurons", site="blocks.{layer}.mlp.hook_post", metric=score, inputs=clean[:{n}], max_bytes={bytes})'
PATCH = 'patch(subject, clean[:{n}], corrupted[:{n}], "blocks.{layer}.hook_resid_pre", metric=score, max_bytes={bytes})'


def grown(experiment: str, n: int, max_bytes: int) -> int:
    """By how many bytes the process grows, after the same on four inputs has loaded whatever is loaded once."""
    run, warm = (experiment.format(layer=1, n=k, bytes=max_bytes) for k in (n, 4))
    code = SCRIPT.format(run=run, warm=warm)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    return int(done.stdout)


@pytest.mark.parametrize("experiment", [ABLATE, PATCH], ids=["ablate", "patch"])
@pytest.mark.parametrize("max_bytes", [64 * MIB, 256 * MIB])
def test_peak_memory_is_within_the_budget(experiment: str, max_bytes: int) -> None:
    """Of 256 inputs of 32 positions, one network's activations are kept: 4 layers of 6 d_model and 2 d_mlp in float32."""
    kept = 256 * 32 * 4 * (6 * 128 + 2 * 512 + 3 * 8 * 32) * 4
    found = grown(experiment, 256, max_bytes)
    print(
        f"grows by {found / MIB:.0f} MiB: budget {max_bytes / MIB:.0f} MiB, activations that are kept {kept / MIB:.0f} MiB"
    )
    assert found < max_bytes + kept
