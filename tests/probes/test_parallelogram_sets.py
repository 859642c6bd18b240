"""Sets of parallelograms that hold together: lists by hand, ranks by brute force, networks built on a line."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import interp
from interp import InterpError, ToyAddition
from interp.errors import MissingCapability
from probes.parallelogram_sets import found_by, held, label_of, parallelograms_of, representations
from probes.parallelograms import Samples, normalised, parallelograms, samples_of
from probes.rqi_criteria import code_scale


def samples(p: int) -> Samples:
    return samples_of(ToyAddition(p))[0]


def test_p_of_4_has_the_line_three_of_one_parallelogram_and_none() -> None:
    """Two of the three imply the third (A1 + A3 = A2), so that of the source's eight sets five can hold."""
    line, *single, none = representations(samples(4))
    assert line.label == "0+2=1+1, 0+3=1+2, 1+3=2+2"
    assert [one.label for one in single] == ["0+2=1+1", "0+3=1+2", "1+3=2+2"]
    assert [found.freedom for found in (line, *single, none)] == [2, 3, 3, 3, 4]
    assert (line.below, [one.below for one in single], none.below) == ((1, 2, 3), [(4,)] * 3, ())


def test_p_of_5_by_ranks_of_all_subsets() -> None:
    """A set can hold alone if every further equation raises the rank."""
    names = parallelograms_of(samples(5))
    rows = np.zeros((len(names), 5))
    for k, (i, j, m, n) in enumerate(names):
        for symbol, sign in ((i, 1), (j, 1), (m, -1), (n, -1)):
            rows[k, symbol] += sign
    rank = {s: np.linalg.matrix_rank(rows[list(s)]) if s else 0
            for size in range(len(names) + 1) for s in itertools.combinations(range(len(names)), size)}  # fmt: skip
    alone = {s for s in rank if all(rank[tuple(sorted({*s, k}))] > rank[s] for k in set(range(len(names))) - set(s))}
    listed = representations(samples(5))
    assert {found.parallelograms for found in listed} == {frozenset(names[k] for k in s) for s in alone}
    assert sorted(found.freedom for found in listed) == sorted(5 - rank[s] for s in alone)


def test_embeddings_hold_what_the_index_counts() -> None:
    """RQI is the share of P0 that they hold, for both criteria and any dimension."""
    table = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round(decimals=1)
    own, trained = samples_of(ToyAddition(6))
    for criterion, scaled in (("paper", normalised(table)), ("code", code_scale(table, False))):
        share = len(held(table, own, 1.6, criterion=criterion)) / own.total
        assert 0 < share < 1
        assert share == pytest.approx(parallelograms(scaled, own, trained, 1.6, criterion=criterion).rqi)


def test_networks_are_counted_by_what_their_embeddings_imply() -> None:
    """Two networks on a line, one with its last symbol moved: 4 symbols, counted by a setting of the run."""
    run = interp.train("addition:p=4", members=interp.grid({"decoder_lr": [1e-3, 1e-2], "init_seed": [0, 1]}), steps=2)
    subjects = run.subjects
    for k, subject in enumerate(subjects):
        line = torch.arange(4.0)[:, None]
        line[3] += 2.0 * (k == 3)
        subject.model.W_E.data.copy_(line)
    table = found_by(subjects).set_index("representation")["networks"]
    assert table.to_dict() == {"0+2=1+1, 0+3=1+2, 1+3=2+2": 3, "0+2=1+1": 1, "0+3=1+2": 0, "1+3=2+2": 0, "none": 0}
    counted = found_by(run.subjects, ["decoder_lr"])
    assert counted.groupby("decoder_lr")[["networks", "share"]].sum().to_numpy().tolist() == [[2, 1], [2, 1]]
    with pytest.raises(InterpError, match="no setting 'decay'"):
        found_by(run.subjects, ["decay"])


def test_what_cannot_be_listed_is_refused() -> None:
    assert label_of([]) == "none"
    with pytest.raises(MissingCapability, match="too many sets"):
        representations(samples(7))
    with pytest.raises(InterpError, match="NaN"):
        held(torch.full((4, 1), torch.nan), samples(4))
