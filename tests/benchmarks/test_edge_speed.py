"""Speed of edges: estimates against true effects, and both against one whole network per edge, as ratios within one run."""

from __future__ import annotations

import pytest
import torch

import circuits
from circuits.discovery.graph import Graph
from circuits.methods.pairs import make_ends
from interp import Examples, HookedTransformer, Subject, TransformerConfig
from tests.benchmarks.test_speed import race

pytestmark = pytest.mark.bench
CONFIG = TransformerConfig(4, 64, 4, 16, 23, 23, 6, d_mlp=256, normalization="LN")  # 479 edges; 128 pairs of 6 tokens


def test_edges_of_four_layers() -> None:
    """EAP at least 10 times as fast as true effects; those at least twice as fast as whole networks, ACDC no slower than them."""
    model = HookedTransformer(CONFIG).init_weights(0)
    clean, corrupted = torch.randint(0, 23, (2, 128, 6), generator=torch.Generator().manual_seed(0))
    labels = [model(x)[:, -1].argmax(-1) for x in (clean, corrupted)]
    task = Examples(torch.cat([clean, corrupted]), torch.cat(labels), readout=-1, n_answers=23)
    subject, how = Subject("four layers", model, task), {"dtype": torch.float32}
    graph = make_ends(subject, clean, corrupted, "logit_diff", None, **how).graph
    eap = race(lambda: graph.effects(graph.whole), lambda: circuits.eap(subject, clean, corrupted, **how), 2)
    plain = race(lambda: Graph.effects(graph, graph.whole), lambda: graph.effects(graph.whole), 1)
    acdc = race(
        lambda: Graph.effects(graph, graph.whole),
        lambda: circuits.acdc(subject, clean, corrupted, threshold=1e-3, progress=False, **how), 1,
    )  # fmt: skip
    print(f"\n{len(graph)} edges: EAP {eap:.0f} times as fast as true effects, these {plain:.1f} and ACDC {acdc:.1f} times as "
          "fast as one whole network per edge")  # fmt: skip
    assert eap >= 10
    assert plain >= 2
    assert acdc >= 1
