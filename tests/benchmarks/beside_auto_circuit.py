"""EAP, integrated gradients over masks and ACDC beside auto-circuit's, on one random network and the same inputs.

auto-circuit needs TransformerLens below 3, so it runs in an environment of its own:

    python -m venv auto && auto/bin/pip install auto-circuit "transformer-lens<3" "numpy<2" "pyarrow<19" "datasets<4"
    export OMP_NUM_THREADS=1
    # layers, heads, d_model, inputs, positions, threshold
    python tests/benchmarks/auto_circuit.py ours pair.pt 3 4 64 64 6 0.01
    auto/bin/python tests/benchmarks/auto_circuit.py theirs pair.pt

Measured in CPU seconds on one thread, in several runs: with 262 edges (as above) EAP is 0.9 to 1.4 and ACDC 7 to 11
times as fast as there; with 1,519 edges (4 8 128 128 12 0.01) EAP 1.7 and ACDC 19 times, and both keep the same 43
edges. Scores are the same to 3e-7, but where an activation is so close to 0 that rounding decides about its ReLU
(3e-4 then; 2e-7 with auto-circuit in float64). ACDC depends on the order of edges, which auto-circuit takes from the
hash of a set within a layer, so that its circuits differ by a few edges from run to run; our engine visiting edges in
the order of one of its runs kept the circuit of that run.
"""

# pyright: reportMissingImports=false, reportArgumentType=false, reportOptionalMemberAccess=false
from __future__ import annotations

import contextlib
import io
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

VOCAB = 23


def timed(function: Callable[[], Any], n: int) -> tuple[float, Any]:
    """The least CPU seconds of n calls, and what the last one returned."""
    best, found = math.inf, None
    for _ in range(n):
        start = time.process_time()
        with contextlib.redirect_stderr(io.StringIO()):
            found = function()
        best = min(best, time.process_time() - start)
    return best, found


def ours(path: str, n_layers: int, n_heads: int, d_model: int, n: int, n_pos: int, threshold: float) -> None:
    """Run the suite's methods on a random network, and keep network, inputs and results."""
    import circuits
    import interp

    config = interp.TransformerConfig(
        n_layers, d_model, n_heads, d_model // n_heads, VOCAB, VOCAB, n_pos, d_mlp=4 * d_model, normalization="LN",
        attn_bias=True, unembed_bias=True,
    )  # fmt: skip
    model, generator = interp.HookedTransformer(config).init_weights(seed=0), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 3:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    clean, corrupted = torch.randint(0, VOCAB, (2, n, n_pos), generator=generator)
    right, wrong = model(clean)[:, -1].argmax(-1), model(corrupted)[:, -1].argmax(-1)
    wrong = torch.where(wrong == right, (right + 1) % VOCAB, wrong)
    subject = interp.Subject("random", model, interp.Examples(clean, right, readout=-1, n_answers=VOCAB))
    how = {"metric": circuits.LogitDiff(right, wrong), "dtype": torch.float32}
    eap_time, eap = timed(lambda: circuits.eap(subject, clean, corrupted, **how), 3)
    acdc_time, acdc = timed(
        lambda: circuits.acdc(subject, clean, corrupted, threshold=threshold, dtype=torch.float32, progress=False), 1
    )
    torch.save(
        {
            "weights": model.state_dict(), "sizes": [n_layers, n_heads, d_model, n, n_pos], "threshold": threshold,
            "inputs": [clean, corrupted, right, wrong], "edges": eap.edges["component"].to_list(),
            "eap": eap.edges["score"].to_list(), "acdc": acdc.chosen.tolist(), "times": [eap_time, acdc_time],
        },
        path,
    )  # fmt: skip
    print(
        f"ours: EAP {eap_time:.3f} s, ACDC {acdc_time:.3f} s, {int(acdc.chosen.sum())} of {len(acdc.edges)} edges kept"
    )


def theirs(path: str) -> None:
    """Run auto-circuit's methods on the same network and inputs, and compare."""
    import transformer_lens as lens
    from auto_circuit.data import PromptDataLoader, PromptDataset
    from auto_circuit.prune_algos.ACDC import acdc_prune_scores
    from auto_circuit.prune_algos.mask_gradient import mask_gradient_prune_scores
    from auto_circuit.utils.graph_utils import patchable_model

    kept = torch.load(path)
    n_layers, n_heads, d_model, n, n_pos = kept["sizes"]
    config = lens.HookedTransformerConfig(
        n_layers=n_layers, d_model=d_model, n_heads=n_heads, d_head=d_model // n_heads, d_vocab=VOCAB, d_vocab_out=VOCAB,
        n_ctx=n_pos, d_mlp=4 * d_model, normalization_type="LN", act_fn="relu", device="cpu",
    )  # fmt: skip
    model = lens.HookedTransformer(config)
    model.load_state_dict(kept["weights"], strict=False)
    model.cfg.use_attn_result = model.cfg.use_split_qkv_input = model.cfg.use_hook_mlp_in = True
    model.eval().requires_grad_(False)
    clean, corrupted, right, wrong = kept["inputs"]
    prompts = PromptDataset([*clean], [*corrupted], [*right[:, None]], [*wrong[:, None]])
    loader = PromptDataLoader(prompts, seq_len=n_pos, diverge_idx=0, batch_size=n, shuffle=False)
    patched = patchable_model(
        model, factorized=True, slice_output="last_seq", separate_qkv=True, device=torch.device("cpu")
    )

    def label(edge: Any) -> str:
        sender = (
            edge.src.name.replace("A", "L").replace(".", "H")
            if edge.src.name[0] == "A"
            else f"L{edge.src.name[4:]} mlp"
        )
        sender = "embed" if edge.src.name == "Resid Start" else sender
        if edge.dest.name == "Resid End":
            return f"{sender} > logits"
        if edge.dest.name.startswith("MLP"):
            return f"{sender} > L{edge.dest.name[4:]} mlp"
        layer, head, part = edge.dest.name[1:].split(".")
        return f"{sender} > L{layer}H{head} {({'Q': 'queries', 'K': 'keys', 'V': 'values'})[part]}"

    def by_label(scores: Any) -> dict[str, float]:
        return {label(e): float(scores[e.dest.module_name][e.patch_idx]) for e in patched.edges}

    eap_time, eap = timed(
        lambda: mask_gradient_prune_scores(patched, loader, None, "logit", "avg_diff", mask_val=0.0), 3
    )
    tao = kept["threshold"]
    acdc_time, acdc = timed(lambda: acdc_prune_scores(patched, loader, None, tao_exps=[0], tao_bases=[tao]), 1)
    eap, own = by_label(eap), dict(zip(kept["edges"], kept["eap"], strict=True))
    apart = max(abs(eap[e] + own[e]) for e in own)  # auto-circuit takes the gradient of minus the difference
    circuit = {e for e, score in by_label(acdc).items() if score == math.inf}
    chosen = {e for e, keep in zip(kept["edges"], kept["acdc"], strict=True) if keep}
    print(f"theirs: EAP {eap_time:.3f} s, ACDC {acdc_time:.3f} s, {len(circuit)} of {len(eap)} edges kept")
    largest, (eap_own, acdc_own) = max(map(abs, eap.values())), kept["times"]
    print(f"EAP: {apart:.1e} apart, of at most {largest:.3f}; ours is {eap_time / eap_own:.1f} times as fast")
    print(f"ACDC: {len(circuit ^ chosen)} edges differ; ours is {acdc_time / acdc_own:.1f} times as fast")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "ours":
        ours(sys.argv[2], *map(int, sys.argv[3:8]), float(sys.argv[8]))
    else:
        theirs(sys.argv[2])
