"""The figure of a circuit of edges: lines end on nodes, and keep clear of the others and of names."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from circuits.discovery.figure import DOT, STEP, UNIT, draw


def test_edges_end_on_nodes_and_keep_clear_of_others_and_of_names() -> None:
    """In pixels of a figure of usual width: the induction circuit, where two edges skip the first layer's head."""
    edges = ["embed > L0H0 values", "L0H0 > L1H0 keys", *(f"embed > L1H0 {kind}" for kind in ("queries", "values"))]
    found = pd.DataFrame({"component": [*edges, "L1H0 > logits"], "kept": True, "faithfulness_lost": 0.5})
    figure: Any = draw(found, "")
    *lines, dots = figure.data
    nodes = {n: np.array([UNIT * x, STEP * y]) for n, x, y in zip(dots.text, dots.x, dots.y, strict=True)}
    names = {a.text: nodes[a.text] + (a.xshift, a.yshift) for a in figure.layout.annotations}
    assert set(names) == set(nodes) == {"embed", "L0H0", "L1H0", "logits"}
    for line in lines:
        sender, receiver = line.text[0].split(":")[0].split(" > ")
        corners = np.stack([UNIT * np.array(line.x), STEP * np.array(line.y)], 1)
        for end, corner in ((sender, corners[0]), (receiver.split()[0], corners[-1])):
            assert np.linalg.norm(corner - nodes[end]) <= DOT / 2
        for a, b in itertools.pairwise(corners):
            for point in np.linspace(a, b, 50):
                near = {n for n, at in nodes.items() if np.linalg.norm(point - at) < DOT / 2}
                assert near <= {sender, receiver.split()[0]}
                assert not any(np.all(np.abs(point - at) < (3.5 * len(n), 7)) for n, at in names.items())
