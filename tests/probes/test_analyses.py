"""Analyses on networks whose answers are known: written by hand, renamed, multiplied, and the shipped run."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from interp import GroupComposition, HookedMLP, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability
from interp.tasks import Task
from probes import cyclic_tables as tables
from probes import fourier, neurons, progress
from probes.analyses import curves, performance
from probes.analyses.fourier import fourier as fourier_analysis
from tests.interp.tasks.test_groups import cyclic, symmetric
from tests.models import P, make, subject


def written(task: Task, keys: list[int]) -> Subject:
    """An MLP written by hand: cosines in, squares of sums, cos(w_k (a + b - c)) out.

    (cos x + cos y)^2 - (cos x)^2 - (cos y)^2 = 2 cos x cos y, so square units compute the products of both operands' waves,
    and the unembedding combines cos cos - sin sin = cos(x + y) and sin cos + cos sin = sin(x + y).
    """
    structure = task.cyclic()
    assert not isinstance(structure, str)
    n, symbols = structure.order, task.n_symbols

    def wave(exponents: torch.Tensor, function: object) -> torch.Tensor:
        angle = 2 * math.pi * torch.outer(torch.tensor(keys).double(), exponents.double()) / n
        return function(angle) * (exponents >= 0)  # type: ignore[operator]

    tables_ = [torch.cat([wave(e, torch.cos), wave(e, torch.sin)]).T for e in (structure.left, structure.right)]
    k, m = len(keys), 2 * len(keys)
    first, last = torch.zeros(2 * m, 0), torch.zeros(0, task.n_outputs)
    cos_c, sin_c = wave(structure.out, torch.cos), wave(structure.out, torch.sin)
    for i in range(k):
        for left, right, out in (
            (i, i, cos_c[i]), (k + i, k + i, -cos_c[i]), (i, k + i, sin_c[i]), (k + i, i, sin_c[i]),
        ):  # fmt: skip
            column = torch.zeros(2 * m, 3, dtype=torch.float64)
            column[left, :2] = 1
            column[m + right, 0], column[m + right, 2] = 1, 1
            first = torch.cat([first, column], 1)
            last = torch.cat([last, torch.outer(torch.tensor([1.0, -1.0, -1.0]).double(), out)])
    config = MLPConfig(
        (first.shape[1],), task.n_outputs, d_vocab=symbols, d_embed=m, embedding="per_operand", act_fn="square",
        bias=False, unembed_bias=False,
    )  # fmt: skip
    weights = {"embed.W_E": torch.stack(tables_), "layers.0.W": first, "unembed.W_U": last}
    model = HookedMLP.from_weights(config, {k: w.double() for k, w in weights.items()})
    return Subject("written", model, task.fit(model))


TASKS = {
    "add": ModularArithmetic(13, "add", 0.5), "subtract": ModularArithmetic(13, "subtract", 0.5),
    "even": ModularArithmetic(12, "add", 0.5), "multiply": ModularArithmetic(13, "multiply", 0.5),
    "divide": ModularArithmetic(13, "divide", 0.5),
    "renamed group": GroupComposition(cyclic(12, [5, 3, 1, 4, 0, 8, 2, 11, 10, 9, 7, 6]), 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("keys", [[2], [1, 4], [3, 5, 2]])
def test_a_network_written_by_hand_gives_back_its_frequencies(name: str, keys: list[int]) -> None:
    """Whatever the operation or the names of the elements: the frequencies, everything on a + b, every neuron tuned."""
    one = written(TASKS[name], keys)
    result = fourier_analysis(one)
    assert sorted(result.metrics["key_frequencies"]) == sorted(keys)
    assert result.metrics["logit_variance_explained"] == pytest.approx(1)
    assert result.metrics["logit_variance_on_a_plus_b_minus_c"] == pytest.approx(1)
    assert sorted(result.metrics["frequencies_in_W_E_left"]) == sorted(keys)
    found = neurons.neurons(one)
    # of each product's three squares the sum's own carries the frequency; the single waves squared carry its double
    assert found.metrics["preferring_a_key_frequency"] >= 4 * len(keys)


@pytest.mark.parametrize("name", ["add", "multiply", "renamed group"])
def test_the_written_network_is_right_where_it_can_be(name: str) -> None:
    """Three frequencies with the group's order as common period tell all answers of the structure apart."""
    one = written(TASKS[name], [1, 2, 5])
    found = performance.measure(one)
    total = int(one.require_task().cyclic().order) ** 2  # type: ignore[union-attr]
    assert found["correct"] >= total  # type: ignore[operator]


def test_tables_put_every_pair_in_its_place() -> None:
    """rows[i, j] is the pair whose operands have exponents i and j."""
    task = TASKS["multiply"].fit(written(TASKS["multiply"], [1]).model)
    structure = task.cyclic()
    assert not isinstance(structure, str)
    pairs = task.pairs[tables.rows(task)]
    i = torch.arange(12)
    assert torch.equal(structure.left[pairs[..., 0]], i[:, None].expand(12, 12))
    assert torch.equal(structure.right[pairs[..., 1]], i.expand(12, 12))
    assert torch.equal(structure.out[tables.columns(task)], i)


def test_performance_counts_by_plain_loops() -> None:
    """Counts and means against Python."""
    one = subject("plain")
    task, found = one.require_task(), performance.measure(one)
    logits = one.model(task.inputs)[:, -1, :P]
    right = [int(row.argmax()) == label for row, label in zip(logits, task.labels.tolist(), strict=True)]
    losses = [-torch.log_softmax(row, 0)[label].item() for row, label in zip(logits, task.labels.tolist(), strict=True)]
    train = task.train_indices.tolist()
    assert (found["correct"], found["total"]) == (sum(right), 49)
    assert found["train_correct"] == sum(right[i] for i in train)
    assert found["loss"] == pytest.approx(sum(losses) / 49)
    assert found["train_loss"] == pytest.approx(sum(losses[i] for i in train) / len(train))


def test_a_group_that_is_not_cyclic_says_so() -> None:
    """S_3 has no Fourier modes of Z_6, and the reason is told."""
    model = HookedMLP(MLPConfig((8,), 6, d_vocab=6, d_embed=4)).init_weights(0)
    one = Subject("S_3", model, GroupComposition(symmetric(3), 0.5).fit(model))
    assert "not abelian" in one.lacks(("cyclic",))[0]
    with pytest.raises(MissingCapability, match="irreducible representations"):
        tables.logit_table(one)


def test_steps_of_memorising_and_generalising() -> None:
    """The first step from which the curve stays above the threshold."""
    points = [(0, 0.0), (10, 1.0), (20, 0.9), (30, 1.0), (40, 1.0)]
    assert curves.first_step_above(points, 0.999) == 30
    assert curves.first_step_above(points[:3], 0.999) is None
    assert curves.first_step_above([], 0.999) is None
    x, y = curves.thin([(i, float(i)) for i in range(10_000)], 100)
    assert (x[0], x[-1], len(x) <= 100) == (0, 9_999, True)
    assert (x == y).all()


def test_the_shipped_run(demo: Subject) -> None:
    """The demo groks, and its history and curves tell the same story."""
    frame = progress(demo, ["loss", "mode_power"])
    recorded = dict(demo.curves["test_loss"])
    losses = frame.query("measure == 'loss' and where == 'test'")
    assert len(losses) > 10
    for step, value in zip(losses["step"], losses["value"], strict=True):
        assert value == pytest.approx(recorded[int(step)], rel=1e-3)
    found = curves.curves(demo).metrics
    assert found["memorised_at_step"] < found["generalised_at_step"] / 5
    modes = frame.query("measure == 'mode_power' and where != 'others'").pivot(
        index="step", columns="where", values="value"
    )
    keys = fourier.logit_frequencies(tables.logit_table(demo))
    assert sorted(modes) == sorted(f"frequency {k}" for k in keys)
    assert modes.iloc[-1].sum() > 0.9 > modes.iloc[0].sum() + 0.85


def test_noise_is_not_called_a_circuit() -> None:
    """A random network has no key frequencies, and the result says that it does not compute with modes."""
    one = subject("plain", seed=3)
    one = Subject("noise", make("plain", 3, scale=0.2), one.task)
    result = fourier_analysis(one)
    assert result.metrics["key_frequencies"] == []
    assert "none" in result.headline


def test_a_network_of_constants() -> None:
    """No variance is no share of it: numbers stay numbers, and nothing is called a frequency."""
    one = subject("plain")
    with torch.no_grad():
        one.model.W_U.zero_()
    result = fourier_analysis(one)
    assert result.metrics["logit_variance_explained"] == 0
    assert result.metrics["key_frequencies"] == []


def test_without_a_test_part_there_is_no_test_accuracy(demo: Subject) -> None:
    """An empty part is no failure."""
    everything = Subject("all", demo.model, replace(demo.require_task(), train_fraction=1.0), demo.series)  # type: ignore[type-var]
    frame = progress(everything, ["accuracy"], every=6)
    assert set(frame["where"]) == {"train", "all"}
    assert frame.query("where == 'train'")["value"].iloc[-1] == 1


def test_nan_is_above_no_threshold() -> None:
    """A curve that ends in NaN has not been memorised."""
    assert curves.first_step_above([(0, 1.0), (10, math.nan)], 0.999) is None
