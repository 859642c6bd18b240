"""Debiased CKA of all pairs at once: against one pair at a time, and against kernels written out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.errors import InterpError
from probes.similarity.cka import cka
from probes.similarity_maps import Features, all_pairs_cka
from tests.conftest import ROOT

N = 300
WIDE, NARROW = (600, 40, 350, 200), (3, 5, 4, 2)


def representations(widths: tuple[int, ...]) -> list[Tensor]:
    """ReLU features of five shared causes, each with noise of its own and a mean far from 0."""
    g = torch.Generator().manual_seed(0)
    base = torch.randn(N, 5, generator=g)
    return [torch.relu(base @ torch.randn(5, d, generator=g) + torch.randn(N, d, generator=g)) + 3 for d in widths]


@pytest.mark.parametrize("max_bytes", [1 << 30, 100_000])
@pytest.mark.parametrize("widths", [WIDE, NARROW])
def test_agrees_with_one_pair_at_a_time(widths: tuple[int, ...], max_bytes: int) -> None:
    """In float64, by kernels or by features, in memory or from the file, in large tiles or small ones; permuted, too."""
    given = representations(widths)
    orders = [torch.randperm(N, generator=torch.Generator().manual_seed(i)) for i in (1, 2)]
    with Features(max_bytes) as features:
        index = [features.add(one) for one in given]
        assert (features.spilled > 0) == (max_bytes < 1 << 30 and widths == WIDE)
        found = all_pairs_cka(features, index, max_bytes=max_bytes)[0]
        permuted = all_pairs_cka(features, index, orders, max_bytes=max_bytes)
    wanted = torch.tensor([[cka(a, b) for b in given] for a in given], dtype=torch.float64)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-5)
    wanted = torch.tensor([[[cka(a, b[o]) for b in given] for a in given] for o in orders], dtype=torch.float64)
    assert torch.allclose(permuted, wanted, rtol=0, atol=1e-5)


def test_is_song_s_estimator_written_out() -> None:
    """HSIC_1 from kernels with a zero diagonal, as the paper has it."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n = len(k)
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        total = (k * m).sum() + k.sum() * m.sum() / (n - 1) / (n - 2) - 2 / (n - 2) * (k @ m).sum()
        return total / n / (n - 3)

    features = Features()
    given = representations((400, 30))
    index = [features.add(one) for one in given]
    kernels = [one.double().numpy() @ one.double().numpy().T for one in given]
    wanted = hsic(*kernels) / np.sqrt(hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1]))
    assert float(all_pairs_cka(features, index)[0, 0, 1]) == pytest.approx(wanted, abs=1e-5)


def test_constants_have_no_similarity() -> None:
    """Not those up to float32's rounding either; features that are constant do not count."""
    x = representations((20,))[0]
    features = Features()
    noise = 1e-7 * torch.randn(N, 5, generator=torch.Generator().manual_seed(0))
    index = [features.add(one) for one in (x, torch.cat([x, 1e4 + noise], 1), 1e4 + noise)]
    found = all_pairs_cka(features, index)[0]
    assert found[2].isnan().all()
    assert float(found[0, 1]) == pytest.approx(1, abs=1e-6)


def test_refuses_what_is_no_representation() -> None:
    """Other inputs, NaN, or too few."""
    features = Features()
    features.add(torch.ones(3, 2))
    with pytest.raises(InterpError, match="at least 4 inputs"):
        all_pairs_cka(features, [0])
    with pytest.raises(InterpError, match="4 inputs, where"):
        features.add(torch.ones(4, 2))
    with pytest.raises(InterpError, match="NaN or infinity for 1 inputs"):
        features.add(torch.tensor([[0.0], [float("nan")], [1.0]]))


@pytest.mark.slow
def test_memory_is_flat() -> None:
    """Four times as many networks need hardly more memory, once the limit is reached."""
    code = """
    import sys, torch
    from pathlib import Path
    from probes.similarity_maps import Features, all_pairs_cka
    with Features(8 << 20) as features:
        index = [features.add(torch.randn(512, 512)) for _ in range(int(sys.argv[1]))]
        all_pairs_cka(features, index, max_bytes=16 << 20)
    print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    """
    lines = "\n".join(line[4:] for line in code.splitlines())
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", lines, k], capture_output=True, text=True, check=True, cwd=ROOT
            ).stdout
        )
        for k in ("30", "120")
    ]
    assert peaks[1] - peaks[0] < 20_000  # KiB; the 90 more representations take 92,000
