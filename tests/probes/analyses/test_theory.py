"""The analysis `theory` on a toy run: every number again by loops over samples and dense matrices."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

import interp
from interp import InterpError, Result, Run, Subject
from interp.errors import MissingCapability
from interp.training import grid
from probes.analyses.theory import embedding_rate, member_table, theory
from tests.models import subject

P = 5
PAIRS = [(i, j) for i in range(P) for j in range(i, P)]
ALL = [(s, t) for s, t in itertools.combinations(range(len(PAIRS)), 2) if sum(PAIRS[s]) == sum(PAIRS[t])]
GRID = grid({"train_fraction": [0.35, 0.8, 1.0], "seed": [0, 1]})
MEMBERS = [
    {**m, "embedding_lr": r}
    for m, r in zip(GRID, [0.02, 0.02, 0.03, 0.02, 0.05, 0.02], strict=True)
]  # fmt: skip
SETTINGS = {"steps": 300, "checkpoints": "every:50", "metrics": "every:50", "lr": 0.01, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six networks on the sums of five numbers, with a third to all of them to train on."""
    out = tmp_path_factory.mktemp("theory") / "run"
    task = f"addition:p={P}"
    return interp.train(task, "mlp:hidden=40,d_embed=1", members=MEMBERS, out=out, **SETTINGS)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found(run: Run) -> Result:
    """Of the last member but one, which was trained on everything."""
    return theory(run.subject(4), draws=100)


def equation(s: int, t: int) -> np.ndarray:
    row = np.zeros(P)
    for k, sign in [*((k, 1) for k in PAIRS[s]), *((k, -1) for k in PAIRS[t])]:
        row[k] += sign
    return row


def trained_on(one: Subject) -> list[bool]:
    task = one.require_task()
    mine = {tuple(sorted(p)) for p in task.pairs[task.train_indices].tolist()}  # type: ignore[attr-defined]
    return [pair in mine for pair in PAIRS]


def embeddings_of(one: Subject, step: int) -> np.ndarray:
    """Normalised, as the theory takes them."""
    E = one.series.at(step).W_E.detach().double().numpy()  # type: ignore[union-attr]
    E = E - E.mean(0)
    return E / np.sqrt((E**2).sum(1).mean())


def reached(chosen: list[tuple[int, int]], known: list[bool]) -> float:
    """Predicted accuracy from a set of parallelograms."""
    mine = {s for s, k in enumerate(known) if k}
    return len(mine | {t for s, t in chosen if known[s]} | {s for s, t in chosen if known[t]}) / len(PAIRS)


def by_hand(one: Subject, step: int, delta: float = 0.01) -> dict[str, float]:
    """All measures of the theory, slowly."""
    known, E = trained_on(one), embeddings_of(one, step)
    A = np.array([equation(s, t) for s, t in ALL if known[s] and known[t]]).reshape(-1, P)
    near = [(s, t) for s, t in ALL if np.linalg.norm(equation(s, t) @ E) <= delta]
    rank = np.linalg.matrix_rank(A) if len(A) else 0
    forced = [(s, t) for s, t in ALL if np.linalg.matrix_rank(np.vstack([A, equation(s, t)])) == rank]
    return {
        "rqi": len(near) / len(ALL), "predicted_accuracy": reached(near, known),
        "ideal_rqi": len(forced) / len(ALL), "ideal_accuracy": reached(forced, known), "nullity": P - rank,
        "lambda_3": float(np.linalg.eigvalsh(2 * A.T @ A / (len(A) * P))[2]) if rank == P - 2 else 0.0,
        "train_samples": sum(known),
    }  # fmt: skip


def right(run: Run, member: int) -> float:
    """Accuracy over all samples, as training recorded it of both parts."""
    last = run.metrics.query(f"step == 300 and member == {member}").iloc[0].fillna(0)  # no test part, no accuracy in it
    n = sum(trained_on(run.subject(member)))
    return (n * last["train_accuracy"] + (len(PAIRS) - n) * last["test_accuracy"]) / len(PAIRS)


@pytest.mark.parametrize("member", range(6))
@pytest.mark.parametrize("delta", [0.01, 0.5])
def test_metrics_by_hand(run: Run, member: int, delta: float) -> None:
    """Train sets that force the line and such that do not; embeddings with some parallelograms and with many."""
    one = run.subject(member)
    result = theory(Subject("alone", one.model, one.task), draws=20, delta=delta)
    expected = {**by_hand(run.subject(member), 300, delta), "accuracy": right(run, member)}
    assert {k: result.metrics[k] for k in expected} == pytest.approx(expected)
    assert result.metrics["linear_structure_forced"] == (expected["nullity"] == 2)
    assert result.metrics["samples"] == len(PAIRS)
    assert result.metrics["predicted_grokking_steps"] is None  # of no run, so of no learning rate
    assert ("forces the linear" in result.headline) == (expected["nullity"] == 2)


def test_the_train_sets_differ(run: Run) -> None:
    """What the tests here rest on: both kinds, and the source's order among them."""
    rates = [by_hand(run.subject(m), 300)["lambda_3"] for m in range(6)]
    assert rates[:2] == [0, 0]
    assert 0 < max(rates[2:4]) <= rates[4] == pytest.approx(rates[5])


def test_a_row_per_member(run: Run) -> None:
    """The table against loops, at the last step and over all of them."""
    table = member_table(run, delta=0.3)
    assert table["member"].tolist() == list(range(6))
    for row in table.to_dict("records"):
        one = run.subject(row["member"])
        expected = by_hand(one, 300, 0.3)
        for name in ("rqi", "predicted_accuracy", "ideal_rqi", "ideal_accuracy", "lambda_3"):
            assert row[name] == pytest.approx(expected[name])
        assert row["accuracy"] == pytest.approx(right(run, row["member"]))
        assert row["train_fraction"] == pytest.approx(expected["train_samples"] / len(PAIRS))
        steps = [s for s in range(0, 301, 50) if by_hand(one, s, 0.3)["rqi"] > 0.95]
        assert row["grokked_at"] == pytest.approx(steps[0] if steps else math.nan, nan_ok=True)
        lr = MEMBERS[row["member"]]["embedding_lr"]
        assert row["predicted_steps"] == pytest.approx(
            1 / (expected["lambda_3"] * lr) if expected["lambda_3"] else math.inf
        )
    assert table["grokked_at"].notna().any()
    assert member_table(run, every=6)["grokked_at"].dropna().isin([0, 300]).all()


RATES = {
    "the run's": ({"lr": 0.01}, {}, 0.01),
    "the run's own for embeddings": ({"lr": 0.01, "embedding_lr": 0.2}, {}, 0.2),
    "the member's": ({"lr": 0.01}, {"lr": 0.3}, 0.3),
    "the member's for embeddings": ({"lr": 0.01, "embedding_lr": 0.2}, {"embedding_lr": 0.4, "lr": 0.3}, 0.4),
    "the run's for embeddings before the member's": ({"lr": 0.01, "embedding_lr": 0.2}, {"lr": 0.3}, 0.2),
    "frozen": ({"lr": 0.01, "embedding_lr": 0.0}, {}, 0.0),
    "the member's frozen": ({"lr": 0.01, "embedding_lr": 0.2}, {"embedding_lr": 0.0}, 0.0),
}


@pytest.mark.parametrize("name", RATES)
def test_the_rate_of_the_embeddings(tmp_path: Path, name: str) -> None:
    """Read from run.json, as training took it: seen in how far one step of sign descent moved them."""
    settings, own, expected = RATES[name]
    members = [{"seed": 0}, {"seed": 1, **own}]
    kept = {"members": members, "steps": 1, "checkpoints": "every:1", "device": "cpu", "out": tmp_path / "run"}
    one = interp.train("addition:p=4", "mlp:hidden=4,d_embed=1", **kept, **settings).subject(1)  # type: ignore
    moved = one.series.at(1).W_E - one.series.at(0).W_E  # type: ignore[union-attr]
    assert float(moved.detach().abs().max()) == pytest.approx(expected, rel=1e-3)  # Adam's first step
    assert embedding_rate(one) == expected
    table = member_table(Run(tmp_path / "run"))
    steps = 1 / (table["lambda_3"][1] * expected) if expected else math.inf
    assert table["predicted_steps"][1] == pytest.approx(steps)
    assert theory(one, draws=5).metrics["predicted_grokking_steps"] == (pytest.approx(steps) if expected else None)


@pytest.mark.parametrize("step", [0, 20, 40])
def test_weights_that_are_not_finite(tmp_path: Path, step: int) -> None:
    """A run that diverged at a step: its numbers are those of the last, and nothing breaks."""
    settings = {**SETTINGS, "steps": 40, "checkpoints": "every:20", "out": tmp_path / "run"}
    run = interp.train("addition:p=4", "mlp:hidden=4,d_embed=1", **settings)  # type: ignore[arg-type]
    path = tmp_path / "run" / "checkpoints" / f"step_{step:08}.safetensors"
    with safe_open(path, "pt") as file:
        tensors, header = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    save_file({k: v * math.nan for k, v in tensors.items()}, path, header)
    outcome = interp.analyze(run.subject(), ["theory"])["theory"]
    assert outcome.status in ("ok", "skipped"), outcome.error


def test_no_run_no_rate() -> None:
    """Nothing is made up for a network without a plan."""
    assert embedding_rate(subject("shared sum")) is None


def test_trajectories_start_together(run: Run, found: Result) -> None:
    """Trained and predicted embeddings are the same at the first step; the flow of all sums ends on a line."""
    one, traces = run.subject(4), found.figures["trajectories"].data
    trained, flow = traces[::2], traces[1::2]
    assert [t.name for t in trained] == [str(k) for k in range(P)]
    assert [t.name for t in flow] == [f"{k}, theory" for k in range(P)]
    first, last = embeddings_of(one, 0)[:, 0], embeddings_of(one, 300)[:, 0]
    sign = np.sign(trained[0].y[-1] * last[0])
    assert [t.y[0] for t in trained] == pytest.approx(sign * first)
    assert [t.y[0] for t in flow] == pytest.approx(sign * first)
    assert [t.y[-1] for t in trained] == pytest.approx(sign * last)
    ends = np.array([t.y[-1] for t in flow])
    spread = lambda y: np.abs(np.diff(y, 2)).max()  # noqa: E731
    assert spread(ends) < 0.5 * spread(np.array([t.y[0] for t in flow]))
    assert (ends**2).sum() == pytest.approx(P)
    assert all(tuple(t.x) == tuple(range(0, 301, 50)) for t in traces)


def test_the_probability_of_a_line(found: Result) -> None:
    """From never to always; at the whole set it is forced; exact where all sets are tried, as by enumeration."""
    table = found.tables["probability of linear structure"]
    assert table["train samples"].is_monotonic_increasing
    exact = table[table["exact"]]
    assert exact["probability"].is_monotonic_increasing
    assert (exact["low"] == exact["probability"]).all()
    assert (table["low"] <= table["probability"]).all()
    assert (table["probability"] <= table["high"]).all()
    assert (table["probability"].diff().dropna() > -0.15).all()
    last, first = table.iloc[-1], table.iloc[0]
    assert (last["train samples"], last["train fraction"], last["probability"]) == (len(PAIRS), 1.0, 1.0)
    assert (first["train samples"], first["probability"]) == (2, 0)
    almost = table.set_index("train samples").loc[len(PAIRS) - 2]
    sets = [[r for k, r in enumerate(PAIRS) if k not in left] for left in itertools.combinations(range(len(PAIRS)), 2)]
    forced = [np.linalg.matrix_rank(dense(chosen)) == P - 2 for chosen in sets]
    assert almost["probability"] == pytest.approx(np.mean(forced))


def dense(chosen: list[tuple[int, int]]) -> np.ndarray:
    kept = [(s, t) for s, t in ALL if PAIRS[s] in chosen and PAIRS[t] in chosen]
    return np.array([equation(s, t) for s, t in kept]).reshape(-1, P)


def test_the_members_in_the_result(run: Run, found: Result) -> None:
    """The same table, a point per member, and what is said of them all."""
    table = found.tables["members"]
    pd.testing.assert_frame_equal(table, member_table(run))
    assert found.metrics["members"] == 6
    assert found.metrics["members_with_linear_structure"] == table["grokked_at"].notna().sum()
    assert len(found.figures["accuracy by member"].data[0].x) == 6
    gap = np.abs(table["accuracy"] - table["predicted_accuracy"]).mean()
    assert found.metrics["mean_gap_of_predicted_accuracy"] == pytest.approx(gap)
    assert found.metrics["predicted_grokking_steps"] == pytest.approx(table["predicted_steps"][4])


def test_refusals() -> None:
    """Other tasks are told so, and skipped; draws must be at least one."""
    with pytest.raises(MissingCapability, match="not modular"):
        theory(subject("shared sum"))
    assert interp.analyze(subject("plain"), ["theory"])["theory"].status == "skipped"
    with pytest.raises(InterpError, match="draws"):
        theory(subject("shared sum"), draws=0)
