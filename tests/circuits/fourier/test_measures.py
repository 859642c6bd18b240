"""Losses by frequency: many sets at once against one projection at a time, dense projections, and written networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from circuits.fourier.definitions import Definition, project
from circuits.fourier.measures import excluded_loss, frequency_loss, restricted_loss
from circuits.fourier.modes import mode_losses
from circuits.fourier.table import Table
from interp import GroupComposition, HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject, TransformerConfig
from interp.errors import MissingCapability
from interp.hooked import build
from interp.tasks import Task, ToyAddition
from tests.circuits.cppns import dense as cppn
from tests.circuits.fourier.dense import dense, sum_component
from tests.interp.tasks.test_groups import cyclic
from tests.models import make, subject
from tests.probes.by_hand import TASKS, written

PARTS = ("all", "train", "test")
CASES: dict[str, Task] = {
    **TASKS,
    "everything": ModularArithmetic(11, "add", 1.0), "two": ModularArithmetic(2, "add", 0.5),
    "three": ModularArithmetic(3, "add", 0.5), "four": ModularArithmetic(4, "subtract", 0.3),
    "mse": ModularArithmetic(7, "add", 0.4, loss="mse"), "shuffled": GroupComposition(cyclic(5, [3, 1, 0, 2, 4]), 0.4),
}  # fmt: skip


def network(task: Task, kind: str, scale: float = 2.0, seed: int = 0) -> Subject:
    """A random network on a task; the transformer has an output that is not an answer."""
    symbols, answers = task.n_symbols, task.n_outputs
    if kind == "mlp":
        config = MLPConfig((9,), answers, d_vocab=symbols, d_embed=6)
    else:
        config = TransformerConfig(
            n_layers=1, d_model=8, n_heads=2, d_head=4, d_vocab=symbols + 1, d_vocab_out=answers + 1, n_ctx=3, d_mlp=9
        )
    model = build(config).double().init_weights(seed, scale)
    return Subject(kind, model, task.fit(model))


def sets_of(n: int) -> list[list[int]]:
    """No frequency, each alone, the first two, the last, all."""
    every = list(range(1, n // 2 + 1))
    return [[], *([k] for k in every), every[:2], every]


def assert_agrees(one: Subject, sets: Sequence[Sequence[int]], rel: float = 1e-9) -> None:
    table = Table(one)
    for keep in (True, False):
        found = mode_losses(table, sets, keep=keep)
        assert found.shape == (len(sets), 3)
        for row, chosen in zip(found.tolist(), sets, strict=True):
            loss = dense(table, list(chosen), keep=keep)
            assert row == pytest.approx([loss.all, loss.train, loss.test], rel=rel, abs=0, nan_ok=True), (keep, chosen)
            one_by_one = project(table, list(chosen), "nanda2d", keep=keep)
            assert (one_by_one.correct, one_by_one.total) == (loss.correct, loss.total), (keep, chosen)
            assert one_by_one.all == pytest.approx(loss.all, rel=rel, abs=0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_many_sets_are_one_by_one(name: str, kind: str) -> None:
    """Every operation, p even and odd and as small as 2, outputs outside of the group, an empty test set."""
    one = network(CASES[name], kind)
    assert_agrees(one, sets_of(Table(one).n))


@pytest.mark.parametrize("name", ["add", "even", "multiply", "divide"])
@pytest.mark.parametrize("scale", [1e-3, 4.0, 12.0, 40.0])
def test_logits_of_any_size(name: str, scale: float) -> None:
    """From next to nothing over the range of exp to several thousands: the losses stay those of log_softmax."""
    one = network(CASES[name], "mlp", scale)
    assert_agrees(one, sets_of(Table(one).n))


def test_the_scales_pass_the_range_of_exp() -> None:
    """So that both ways of computing are tried above."""
    spread = [float(Table(network(CASES["add"], "mlp", scale)).logits.std()) for scale in (4.0, 12.0, 40.0)]
    assert spread[0] < 60 < 1000 < spread[2]


def sharpened(name: str, keys: list[int], sharpness: float) -> Subject:
    one = written(TASKS[name], keys)
    with torch.no_grad():
        one.model.W_U.mul_(sharpness)
    return one


def in_long_doubles(table: Table, frequencies: list[int], keep: bool) -> list[float]:
    """log(1 + sum of exp(z_j - z_label)) over the other outputs, with 64 bits of mantissa."""
    part = sum_component(table.cube, frequencies)
    if keep:
        logits = table.with_cube(table.cube.mean((0, 1)) + part, rest="mean")
    else:
        logits = table.with_cube(table.cube - part, rest="keep")
    flat, labels = logits.flatten(0, 1).numpy().astype(np.longdouble), table.labels.numpy()
    odds = np.exp(flat - np.take_along_axis(flat, labels[:, None], 1))
    odds[np.arange(len(labels)), labels] = 0
    losses, train = np.log1p(odds.sum(1)), table.train.numpy()
    return [float(losses.mean()), float(losses[train].mean()), float(losses[~train].mean())]


@pytest.mark.parametrize("name", ["add", "even", "multiply", "subtract"])
@pytest.mark.parametrize("sharpness", [1.0, 3.0, 6.0, 10.0, 15.0, 35.0, 200.0])
def test_tiny_losses(name: str, sharpness: float) -> None:
    """Down to 1e-30: relative to the loss without a frequency, to rounding with it alone."""
    table = Table(sharpened(name, [1, 2, 5], sharpness))
    unused = [k for k in range(1, table.n // 2 + 1) if k not in (1, 2, 5)]
    for chosen in ([], [1, 2, 5], unused, [1]):
        without, alone = (mode_losses(table, [chosen], keep=keep)[0].tolist() for keep in (False, True))
        floor = 0 if sharpness <= 15 else 1e-15
        assert without == pytest.approx(in_long_doubles(table, chosen, False), rel=1e-6, abs=floor)
        assert alone == pytest.approx(in_long_doubles(table, chosen, True), rel=1e-6, abs=1e-15)


def test_tiny_losses_are_tiny() -> None:
    """So that the test above tries them: without a frequency that is not used, 1e-9 to 1e-30."""
    found = [mode_losses(Table(sharpened("add", [1, 2, 5], s)), [[3]], keep=False)[0, 0].item() for s in (3, 6, 15)]
    assert 0 < found[2] < 1e-29 < 1e-14 < found[1] < 1e-10


def by_least_squares(one: Subject, frequencies: list[int], keep: bool) -> list[float]:
    """The loss by parts after a least-squares fit of waves of a + b to every output of addition."""
    task = one.require_task()
    logits = task.read(one.model(task.inputs)).detach().numpy()
    a, b = task.pairs.numpy().T
    angles = 2 * np.pi * np.outer(a + b, frequencies) / task.n_symbols
    waves = np.concatenate([np.cos(angles), np.sin(angles)], 1)
    part = waves @ np.linalg.lstsq(waves, logits, rcond=None)[0]
    losses = -log_softmax(logits.mean(0) + part if keep else logits - part, 1)[np.arange(len(a)), task.labels.numpy()]
    return [losses.mean(), losses[task.train_indices.numpy()].mean(), losses[task.test_indices.numpy()].mean()]


@pytest.mark.parametrize("name", ["plain", "layer norm", "norm last", "gated", "deep", "per operand"])
@pytest.mark.parametrize("keys", [(2,), (1, 3), (1, 2, 3)])
def test_measures_by_least_squares(name: str, keys: tuple[int, ...]) -> None:
    """Restricted and excluded loss, by part, without our projections."""
    one = subject(name)
    kept, removed = by_least_squares(one, list(keys), keep=True), by_least_squares(one, list(keys), keep=False)
    assert restricted_loss(one, frequencies=keys) == pytest.approx(dict(zip(PARTS, kept, strict=True)))
    assert excluded_loss(one, frequencies=keys) == pytest.approx(dict(zip(PARTS, removed, strict=True)))
    found = frequency_loss(one, frequencies=keys)
    assert found == pytest.approx(
        {f"without {k}": by_least_squares(one, [k], keep=False)[0] for k in keys}
        | {f"{k} alone": by_least_squares(one, [k], keep=True)[0] for k in keys}
    )


@pytest.mark.parametrize("definition", ["nanda2d", "logit", "hidden", "neurons"])
@pytest.mark.parametrize("name", ["plain", "two layers", "shared sum"])
def test_measures_by_definition(definition: Definition, name: str) -> None:
    """Every definition is that of `project`."""
    one = subject(name)
    for measure, keep in ((restricted_loss, True), (excluded_loss, False)):
        loss = project(Table(one), [1, 3], definition, keep=keep)
        found = measure(one, frequencies=(1, 3), definition=definition)
        assert found == pytest.approx({part: getattr(loss, part) for part in PARTS})


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_written_network_computes_with_its_keys(name: str) -> None:
    """Found by itself; kept alone they lose nothing, without them chance is left, one alone is between."""
    one = written(TASKS[name], [1, 2, 5])
    table = Table(one)
    clean = table.score(table.logits)
    kept, removed, each = restricted_loss(one), excluded_loss(one), frequency_loss(one)
    assert kept == pytest.approx({part: getattr(clean, part) for part in PARTS}, abs=1e-9)
    assert min(removed.values()) > math.log(table.n) - 0.2
    assert set(each) == {f"without {k}" for k in (1, 2, 5)} | {f"{k} alone" for k in (1, 2, 5)}
    for k in (1, 2, 5):
        assert clean.all < each[f"without {k}"]
        assert clean.all < each[f"{k} alone"] < removed["all"]
        assert each[f"{k} alone"] == pytest.approx(restricted_loss(one, frequencies=(k,))["all"])
        assert each[f"without {k}"] == pytest.approx(excluded_loss(one, frequencies=(k,))["all"])


@given(st.integers(0, 10**6), st.sampled_from(["add", "even", "multiply"]), st.floats(0.1, 5))
def test_split_laws(seed: int, name: str, scale: float) -> None:
    """All is the mean of both parts by size; no frequency removed is the loss; a constant changes nothing."""
    one = network(CASES[name], "mlp", scale, seed)
    table = Table(one)
    n, found = int(table.train.sum()), mode_losses(table, [[1], [2, 3]], keep=False)
    rest = table.n**2 - n
    assert torch.allclose(found[:, 0] * (n + rest), found[:, 1] * n + found[:, 2] * rest)
    clean = table.score(table.logits)
    assert mode_losses(table, [[]], keep=False)[0].tolist() == pytest.approx([clean.all, clean.train, clean.test])
    table.logits = table.logits + 5
    for keep in (True, False):
        before = mode_losses(Table(one), [[1]], keep=keep)
        assert torch.allclose(mode_losses(table, [[1]], keep=keep), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_in_less(dtype: torch.dtype) -> None:
    """Measured in float64 whatever was stored, and in less where that is asked for."""
    one, stored = subject("plain"), Subject("stored", make("plain").to(dtype), subject("plain").task)
    wide = Subject("wide", make("plain").to(dtype).double(), one.task)
    assert excluded_loss(stored, frequencies=(1,)) == excluded_loss(wide, frequencies=(1,))
    narrow = Subject("narrow", make("plain").to(dtype), one.task, precision=dtype)
    assert restricted_loss(narrow, frequencies=(1,)) == pytest.approx(restricted_loss(wide, frequencies=(1,)), rel=0.1)


def test_no_frequencies() -> None:
    """Nothing kept is the mean logits; no set at all is no loss at all."""
    one = subject("plain")
    assert restricted_loss(one, frequencies=())["all"] == pytest.approx(by_least_squares(one, [], keep=True)[0])
    assert excluded_loss(one, frequencies=[])["all"] == pytest.approx(Table(one).score(Table(one).logits).all)
    assert frequency_loss(one, frequencies=()) == {}
    assert restricted_loss(one, frequencies="(1, 2)") == restricted_loss(one, frequencies=(1, 2))  # as typed


@pytest.mark.parametrize("keep", [True, False])
def test_no_sets(keep: bool) -> None:
    """An empty list of sets gives an empty table."""
    assert mode_losses(Table(subject("plain")), [], keep=keep).shape == (0, 3)


@pytest.mark.parametrize("measure", [restricted_loss, excluded_loss, frequency_loss])
def test_refusals(measure: object) -> None:
    """Frequencies that there are not, networks without modes, definitions that do not apply."""
    assert callable(measure)
    for wrong in ((0,), (4,), (-1,), (1, 99)):
        with pytest.raises(InterpError, match="1 to 3"):
            measure(subject("plain"), frequencies=wrong)
    with pytest.raises(MissingCapability, match="no frequency stands out"):
        measure(Subject("noise", make("plain", 3, scale=0.2), subject("plain").task))
    with pytest.raises(InterpError, match="frequencies must be"):
        measure(subject("plain"), frequencies=2.5)
    toy = HookedMLP(MLPConfig((5,), 9, d_vocab=5, d_embed=3)).double().init_weights(0)
    group = HookedMLP(MLPConfig((5,), 6, d_vocab=6, d_embed=3)).double().init_weights(0)
    for one, message in (
        (Subject("cppn", cppn()), "needs a task"), (Subject("lstm", make("lstm")), "needs a task, and none is known"),
        (Subject("toy", toy, ToyAddition(5, loss="cross_entropy").fit(toy)), "not reduced"),
        (Subject("S_3", group.init_weights(0, 1e-3), GroupComposition("S_3", 0.5).fit(group)), "no representation stands out"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            measure(one)


def test_refusals_of_definitions() -> None:
    """Only four have a name, and two need hidden units."""
    with pytest.raises(InterpError, match="nanda2d, logit, hidden, neurons"):
        restricted_loss(subject("plain"), frequencies=(1,), definition="fourier")
    with pytest.raises(InterpError, match="no hidden units"):
        excluded_loss(subject("no mlp"), frequencies=(1,), definition="neurons")
