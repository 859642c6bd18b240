"""Restricted and excluded loss against dense projections, and on networks written by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from circuits import by_frequency, excluded_loss, restricted_loss
from circuits.fourier.definitions import project
from circuits.fourier.table import Table
from interp import GroupComposition, HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject, ToyAddition
from interp.errors import MissingCapability
from tests.circuits.fourier.dense import dense
from tests.interp.tasks.test_groups import symmetric
from tests.models import P, subject
from tests.probes.by_hand import TASKS, written

A, B = torch.cartesian_prod(torch.arange(P), torch.arange(P)).T


def span(*columns: Tensor) -> Tensor:
    """Orthonormal columns of the span."""
    return torch.linalg.qr(torch.stack([c.double() for c in columns], 1))[0]


def wave(argument: Tensor, k: int) -> list[Tensor]:
    angle = 2 * math.pi * k * argument.double() / P
    return [torch.cos(angle), torch.sin(angle)]


def mean_loss(logits: Tensor) -> float:
    return torch.nn.functional.cross_entropy(logits, (A + B) % P).item()


def clean_logits(name: str) -> Tensor:
    one = subject(name)
    task = one.require_task()
    return task.read(one.model(task.inputs)).detach()


@pytest.mark.parametrize("name", ["plain", "deep", "no mlp"])
@pytest.mark.parametrize("keys", [[2], [1, 3]])
def test_nanda2d_by_dense_projection(name: str, keys: list[int]) -> None:
    """Every output projected on cos and sin of w_k (a + b), the mean kept in both."""
    logits = clean_logits(name)
    modes = span(*[w for k in keys for w in wave(A + B, k)])
    part = modes @ (modes.T @ logits)
    one = subject(name)
    assert restricted_loss(one, keys).all == pytest.approx(mean_loss(logits.mean(0) + part))
    assert excluded_loss(one, keys).all == pytest.approx(mean_loss(logits - part))


@pytest.mark.parametrize("keys", [[2], [1, 3]])
def test_logit_by_dense_projection(keys: list[int]) -> None:
    """One coefficient per frequency over inputs and outputs together, nothing else kept."""
    logits = clean_logits("plain")
    part = torch.zeros_like(logits)
    for k in keys:
        cube = torch.cos(2 * math.pi * k * ((A + B)[:, None] - torch.arange(P)).double() / P)
        part += (logits * cube).sum() / cube.pow(2).sum() * cube
    one = subject("plain")
    assert restricted_loss(one, keys, "logit").all == pytest.approx(mean_loss(part))
    assert excluded_loss(one, keys, "logit").all == pytest.approx(mean_loss(logits - part))


@pytest.mark.parametrize("name", ["plain", "layer norm", "norm last", "gated", "deep"])
def test_neurons_by_a_hook(name: str) -> None:
    """The last hidden layer replaced by its projection in a real forward pass, everything else left to the network."""
    one, keys = subject(name), [1, 2]
    task = one.require_task()
    site = [n for n in one.model.hook_dict if n.endswith("hook_post")][-1]
    modes = span(*[w for k in keys for argument in (A, B, A + B) for w in wave(argument, k)])

    def replaced(keep: bool) -> Tensor:
        def hook(x: Tensor, hook: object) -> Tensor:
            values = x[:, -1] if x.ndim == 3 else x
            part = modes @ (modes.T @ values)
            new = values.mean(0) + part if keep else values - part
            return torch.cat([x[:, :-1], new[:, None]], 1) if x.ndim == 3 else new

        with torch.no_grad(), one.model.hooks([(site, hook)]):
            return task.read(one.model(task.inputs))

    assert restricted_loss(one, keys, "neurons").all == pytest.approx(mean_loss(replaced(True)))
    assert excluded_loss(one, keys, "neurons").all == pytest.approx(mean_loss(replaced(False)))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_on_written_networks_the_keys_are_everything(name: str) -> None:
    """Keeping the keys keeps the loss, removing them leaves log n, in every definition and for every operation."""
    one = written(TASKS[name], [1, 2, 5])
    table = Table(one)
    clean = table.score(table.logits)
    for definition in ("nanda2d", "logit"):
        kept, removed = restricted_loss(one, None, definition), excluded_loss(one, None, definition)
        assert kept.all == pytest.approx(clean.all, abs=1e-9)
        assert kept.correct == clean.correct == clean.total
        assert removed.all > math.log(table.n) - 0.2
        assert removed.correct <= clean.total / 4
    other = [k for k in range(1, table.n // 2 + 1) if k not in (1, 2, 5)]
    assert excluded_loss(one, other).all == pytest.approx(clean.all, abs=1e-9)


def test_train_and_test_make_the_whole() -> None:
    """The mean over everything is the weighted mean of both parts."""
    one = subject("plain")
    loss, n = excluded_loss(one, [1]), len(one.require_task().train_indices)
    assert loss.all == pytest.approx((n * loss.train + (49 - n) * loss.test) / 49)


@pytest.mark.parametrize("name", ["plain", "layer norm", "norm last", "gated", "deep"])
def test_by_frequency_is_the_loss_of_each(name: str) -> None:
    """A row per frequency, equal to one dense projection for each; of a Subject as of its table."""
    table = Table(subject(name))
    frame = by_frequency(table)
    assert frame["frequency"].to_list() == [1, 2, 3]
    assert frame.equals(by_frequency(subject(name)))
    for row in frame.to_dict("records"):
        without, alone = (dense(table, [int(row["frequency"])], keep=keep) for keep in (False, True))
        assert row["loss_without"] == pytest.approx(without.all, rel=1e-12)
        assert row["loss_alone"] == pytest.approx(alone.all, rel=1e-12)
        assert (row["correct_without"], row["correct_alone"]) == (without.correct, alone.correct)
        assert row["key"] == (row["frequency"] in table.keys)


def test_refusals() -> None:
    """Frequencies that do not exist, definitions that do not, networks and groups that have none."""
    one = subject("plain")
    with pytest.raises(InterpError, match=r"1 to 3; got \[4, 0\]"):
        restricted_loss(one, [4, 2, 0])
    with pytest.raises(InterpError, match="hidden, logit, nanda2d, neurons"):
        restricted_loss(one, [1], "fourier")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="no hidden units"):
        restricted_loss(subject("no mlp"), [1], "neurons")
    model = HookedMLP(MLPConfig((8,), 6, d_vocab=6, d_embed=4)).init_weights(0)
    group = Subject("S_3", model, GroupComposition(symmetric(3), 0.5).fit(model))
    with pytest.raises(InterpError, match=r"representations, by name \(sign, standard"):
        restricted_loss(group, [1])
    with pytest.raises(InterpError, match="standard"):
        restricted_loss(group, ["standart"])
    toy = HookedMLP(MLPConfig((5,), 9, d_vocab=5, d_embed=3)).init_weights(0)
    with pytest.raises(MissingCapability, match="not reduced"):
        restricted_loss(Subject("toy", toy, ToyAddition(5, loss="cross_entropy").fit(toy)))


@pytest.mark.parametrize("definition", ["nanda2d", "logit", "hidden", "neurons"])
@pytest.mark.parametrize("operation", ["add", "multiply"])
def test_a_constant_in_all_logits_moves_no_loss(operation: str, definition: str) -> None:
    """In no definition, and not where an answer lies outside the group."""
    losses = []
    for shift in (0.0, 50.0):
        one = subject("shared concat")
        with torch.no_grad():
            one.model.unembed.b_U.add_(shift)  # type: ignore[union-attr]
        one.task = ModularArithmetic(P, operation, 0.4).fit(one.model)
        losses.append([f(one, [1], definition).all for f in (restricted_loss, excluded_loss)])  # type: ignore[arg-type]
    assert losses[1] == pytest.approx(losses[0])


def test_removing_nothing_changes_nothing_in_any_precision() -> None:
    """Logits and hidden layer are computed in one dtype."""
    one = subject("plain").cast(torch.bfloat16)
    table = Table(one)
    assert project(table, [], "neurons", keep=False).all == pytest.approx(table.score(table.logits).all, rel=1e-12)
