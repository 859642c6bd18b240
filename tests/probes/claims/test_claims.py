"""Claims from numbers: what a network does, how it came about, what is odd."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats
import torch

import interp
from interp.scores import Part, Scores, of_constant
from probes.claims.modes import clock_claims, fourier_claims, held_claim, named, neuron_claims
from probes.claims.oddities import collapse_claims, dead_claims, finite_claims, rank_claims
from probes.claims.performance import better, if_solved, performance_claims, wilson
from probes.claims.pictures import compared_claims, link_claims, unit_claims
from probes.claims.training import grokking_claims

TASK = interp.ModularArithmetic(5, train_fraction=0.4)


def scores(train: int, test: int) -> Scores:
    n, k = len(TASK.test_indices), len(TASK.train_indices)
    return Scores(Part(0.1, train, k), Part(0.1, test, n), Part(0.1, train + test, n + k))


@pytest.mark.parametrize(
    ("train", "test", "verdicts"),
    [(10, 15, ["supported", "supported"]), (10, 3, ["in part", "not supported"]), (2, 3, ["not supported"] * 2)],
)
def test_what_it_does(train: int, test: int, verdicts: list[str]) -> None:
    """By the share of right answers, against the commonest one; a whole table has no interval."""
    claims = performance_claims(TASK, scores(train, test), of_constant(TASK))
    assert [c.verdict for c in claims] == verdicts
    assert claims[0].text == "It computes (a + b) mod 5"
    assert claims[0].value == f"{train + test} of 25"


def test_the_commonest_answer() -> None:
    """As many right as its answer is frequent; for a regression, the loss of the mean target."""
    task = interp.SparseParity(n=6, k=2, n_train=40, n_test=20)
    labels = task.labels[task.train_indices]
    common = labels.mode().values
    assert of_constant(task).train.correct == int((labels == common).sum())
    assert of_constant(task).correct == int((task.labels == common).sum())
    inputs = torch.linspace(-1, 1, 12)[:, None]
    line = interp.Examples(inputs, 3 * inputs, loss="regression")
    mean = line.labels[line.train_indices].double().mean()
    assert of_constant(line).loss == pytest.approx(float((line.labels.double() - mean).square().mean()), rel=1e-6)
    found = dataclasses.replace(of_constant(line), all=Part(0.0, None, 12))
    assert performance_claims(line, found, of_constant(line))[0].verdict == "supported"


@pytest.mark.parametrize(("correct", "total"), [(0, 9), (3, 10), (50, 50), (997, 1000)])
def test_wilson(correct: int, total: int) -> None:
    expected = scipy.stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert wilson(correct, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_what_needs_answers_is_not_tested_without() -> None:
    claims = if_solved(finite_claims(0, 5, []), solved=False)
    assert [(c.verdict, c.against) for c in claims] == [("not tested", "")]
    assert not better(Part(0.1, 6, 25), Part(None, 5, 25))
    assert better(Part(0.1, 20, 25), Part(None, 5, 25))


def test_modes() -> None:
    """Frequencies in any order are one answer; an embedding without structure holds no more of them than others do."""
    assert named([23, 6]) == named([6, 23]) == "6, 23"
    found = fourier_claims([6, 23], 0.97, {"W_E": 0.83, "W_E right": 0.04}, 56, {})
    assert [c.verdict for c in found] == ["supported", "supported", "not supported"]
    (none,) = fourier_claims([], 0.0, {"W_E": 0.5}, 56, {})
    assert none.verdict == "not supported"
    assert held_claim("W_E", 0.95, 0.9, "there", "there", "topic").verdict == "supported"  # nearly all parts are key
    assert held_claim("W_E", 0.91, 0.9, "there", "there", "topic").verdict == "not supported"
    assert neuron_claims(0, 0, None, 2, 56, figure=None)[0].verdict == "not tested"
    assert neuron_claims(500, 512, 0.7, 2, 56, figure=None)[0].verdict == "supported"
    assert neuron_claims(500, 512, 0.1, 2, 56, figure=None)[0].verdict == "not supported"


@pytest.mark.parametrize(
    ("irrelevance", "circularity", "right", "verdicts"),
    [
        (0.8, 0.95, 1.0, ["supported"]),
        (0.5, 0.95, 1.0, ["in part"]),
        (0.8, 0.2, 1.0, ["not tested"]),
        (0.8, 0.95, 0.5, []),
    ],
)
def test_clock(irrelevance: float, circularity: float, right: float, verdicts: list[str]) -> None:
    claims = clock_claims("clock", irrelevance, "0.3", circularity, 0.4, right=right, comparable=True, figure="f")
    assert [c.verdict for c in claims] == verdicts


@pytest.mark.parametrize(
    ("memorised", "generalised", "at", "verdict"),
    [(100, 3000, 9000, "supported"), (100, 300, 9000, "in part"), (100, 120, 9000, "not supported"),
     (100, None, 9000, "not supported"), (None, None, 9000, "not supported"), (100, 3000, 500, "not supported")],
)  # fmt: skip
def test_grokking(memorised: int | None, generalised: int | None, at: int, verdict: str) -> None:
    (claim,) = grokking_claims(memorised, generalised, at, 0.9, None)
    assert claim.verdict == verdict


def test_oddities() -> None:
    """Only what is odd is said."""
    assert finite_claims(3, 100, ["W", "b"])[0].verdict == "not supported"
    assert rank_claims([("W", 1.01, 32), ("pos", 1.2, 3)], "f")[0].value == "W (1.01 of 32)"
    assert rank_claims([("W", 9.0, 32)], "f") == []
    assert [collapse_claims(s) for s in (None, 0.05)] == [[], []]
    assert [collapse_claims(s)[0].verdict for s in (0.5, 0.95)] == ["in part", "supported"]
    assert dead_claims(10, 10) == []
    assert [dead_claims(n, 100)[0].verdict for n in (99, 50)] == ["in part", "supported"]


def test_pictures() -> None:
    assert [c.verdict for c in unit_claims(0.84, 19, 17, "f")] == ["supported", "in part"]
    assert unit_claims(None, 0, 0, "f") == []
    assert [link_claims(n, 100, 1e-4, 1e-3, "f")[0].verdict for n in (40, 80, 99)] == [
        "supported",
        "in part",
        "not supported",
    ]
    (claim,) = compared_claims({"evolved": (0.84, 19), "sgd": (0.03, 259)})
    assert (claim.verdict, claim.answer) == ("in part", "evolved is the unified one")
    (claim,) = compared_claims({"one": (0.5, 6), "other": (np.float64(0.4), 6)})
    assert (claim.verdict, claim.answer) == ("not supported", "")
