"""Restricted and excluded loss by representation: sums over the group, networks written by hand, permutation matrices."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from circuits import by_frequency, excluded_loss, restricted_loss
from circuits.fourier import measures
from circuits.fourier.definitions import Definition
from circuits.fourier.removal import remove_everywhere, without_in_embedding
from circuits.fourier.table import Table
from interp import GroupComposition, InterpError, Subject
from interp.groups import representations_of
from interp.sites import hidden_sites
from tests.circuits.fourier.groups import on_function, random_network, written
from tests.interp.groups.test_representations import shuffled, table_of

GROUPS = ("S_3", "A_4", "D_5", "Q_8", "C_2xC_4", "C_6")


def some(name: str) -> list[str]:
    """Two representations, one where there are no more."""
    return list(representations_of(table_of(name)).names[1::2])[:2]


def losses(subject: Subject, logits: Tensor) -> tuple[float, float]:
    """Mean cross-entropy over all and over train examples, by torch."""
    task = subject.require_task()
    every = torch.nn.functional.cross_entropy(logits, task.labels, reduction="none")
    return float(every.mean()), float(every[task.train_indices].mean())


def both(subject: Subject, names: list[str], definition: Definition) -> list[tuple[float, float]]:
    found = [f(subject, names, definition) for f in (restricted_loss, excluded_loss)]
    return [(loss.all, loss.train) for loss in found]


def setting(subject: Subject, names: list[str]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The table, the kernel of some representations, and a, b, a * b of every example."""
    task = subject.require_task()
    assert isinstance(task, GroupComposition)
    group = representations_of(torch.tensor(task.table))
    a, b = task.pairs.T
    return group.table, group.kernel(names), a, b, group.table[a, b]


@pytest.mark.parametrize("kind", ["mlp", "deep", "transformer"])
@pytest.mark.parametrize("name", GROUPS)
def test_nanda2d_by_sums_over_all_pairs(name: str, kind: str) -> None:
    """Elements in another order; the constant stays in both."""
    one, names = random_network(name, kind, order=3), some(name)
    table, kernel, _, _, ab = setting(one, names)
    logits = one.logits()
    part = on_function(logits, ab, kernel, table)
    wanted = [losses(one, logits.mean(0) + part), losses(one, logits - part)]
    assert both(one, names, "nanda2d") == [pytest.approx(w, rel=1e-10) for w in wanted]


@pytest.mark.parametrize("name", GROUPS)
def test_logit_by_the_trace(name: str) -> None:
    """One coefficient of tr rho(a) rho(b) rho(c)^-1 each, with matrices multiplied out for every (a, b, c)."""
    one, names = random_network(name, order=1), some(name)
    table, _, a, b, _ = setting(one, names)
    group, logits, part = representations_of(table), one.logits(), torch.zeros_like(one.logits())
    for rep in names:
        rho = group.matrices(rep)
        trace = torch.einsum("pij,pjk,cik->pc", rho[a], rho[b], rho)  # the inverse is the transpose
        part += (logits * trace).sum() / trace.pow(2).sum() * trace
    assert both(one, names, "logit") == [pytest.approx(losses(one, x), rel=1e-10) for x in (part, logits - part)]


def hidden_layer(subject: Subject) -> tuple[str, Tensor]:
    site, task = hidden_sites(subject.model)[-1], subject.require_task()
    _, cache = subject.model.run_with_cache(task.inputs)
    values = cache[site].detach()
    return site, values[:, -1] if values.ndim == 3 else values


@pytest.mark.parametrize("kind", ["mlp", "deep", "transformer"])
@pytest.mark.parametrize("name", GROUPS)
def test_hidden_by_matrix_products(name: str, kind: str) -> None:
    """The projected layer through the weights after it: W_U, or W_out W_U of a transformer; no bias, no other path."""
    one, names = random_network(name, kind, order=2), some(name)
    for parameter_name, parameter in one.model.named_parameters():
        if ".b" in parameter_name:
            torch.nn.init.normal_(parameter)  # biases that must not be kept
    table, kernel, _, _, ab = setting(one, names)
    _, values = hidden_layer(one)
    weights = dict(one.model.named_parameters())
    decoder = weights["unembed.W_U"].detach()
    if kind == "transformer":
        decoder = weights["blocks.0.mlp.W_out"].detach() @ decoder
    part = on_function(values, ab, kernel, table)
    wanted = [losses(one, part @ decoder), losses(one, (values - part) @ decoder)]
    assert both(one, names, "hidden") == [pytest.approx(w, rel=1e-10) for w in wanted]


@pytest.mark.parametrize("kind", ["mlp", "transformer", "layer norm"])
@pytest.mark.parametrize("name", ["S_3", "D_5", "Q_8"])
def test_neurons_by_a_hook(name: str, kind: str) -> None:
    """Functions of a, b and a * b, put into a real forward pass, everything else left to the network."""
    one, names = random_network(name, kind), some(name)
    table, kernel, a, b, ab = setting(one, names)
    site, values = hidden_layer(one)
    part = sum((on_function(values, argument, kernel, table) for argument in (a, b, ab)), torch.zeros_like(values))

    def replaced(new: Tensor) -> Tensor:
        def hook(x: Tensor, hook: object) -> Tensor:
            return torch.cat([x[:, :-1], new[:, None]], 1) if x.ndim == 3 else new

        task = one.require_task()
        with torch.no_grad(), one.model.hooks([(site, hook)]):
            return task.read(one.model(task.inputs))

    wanted = [losses(one, replaced(values.mean(0) + part)), losses(one, replaced(values - part))]
    assert both(one, names, "neurons") == [pytest.approx(w, rel=1e-10) for w in wanted]


@pytest.mark.parametrize("name", ["S_3", "A_4", "D_4", "Q_8"])
def test_a_network_of_one_character_computes_with_it(name: str) -> None:
    """Kept alone it keeps the loss, without it chance is left; the key is found, whatever the order of elements."""
    table = shuffled(table_of(name), 5)[0]
    group = representations_of(table)
    for row in range(1, len(group)):
        one = written(table, 9 * group.characters[row].numpy())
        made, clean = Table(one), Table(one).score(Table(one).logits)
        assert made.keys == [group.names[row]]
        for definition in ("nanda2d", "logit", "hidden"):
            assert restricted_loss(one, None, definition).all == pytest.approx(clean.all, abs=1e-9)
            assert excluded_loss(one, None, definition).all == pytest.approx(math.log(made.n), abs=1e-9)
        others = [k for k in group.names if k != group.names[row]]
        assert excluded_loss(one, others).all == pytest.approx(clean.all, abs=1e-9)


def test_the_symmetric_group_by_permutation_matrices() -> None:
    """S_4: `standard` is what permutation matrices less their mean span; `sign` is their determinant."""
    one = random_network("S_4")
    matrices = torch.stack([torch.eye(4).double()[list(p)] for p in itertools.permutations(range(4))])
    entries = matrices.flatten(1) - matrices.flatten(1).mean(0)
    spans = {"standard": entries, "sign": torch.linalg.det(matrices)[:, None]}
    labels, logits = one.require_task().labels, one.logits()
    for name, span in spans.items():
        basis = torch.linalg.svd(span[labels], full_matrices=False)
        modes = basis.U[:, basis.S > 1e-8]
        part = modes @ (modes.T @ logits)
        assert restricted_loss(one, [name], "nanda2d").all == pytest.approx(
            losses(one, logits.mean(0) + part)[0], rel=1e-10
        )
        assert excluded_loss(one, [name], "nanda2d").all == pytest.approx(losses(one, logits - part)[0], rel=1e-10)


@pytest.mark.parametrize("definition", ["nanda2d", "logit", "hidden", "neurons"])
def test_frequencies_of_a_cyclic_group_are_its_representations(definition: Definition) -> None:
    """A number and its name are the same part, in every definition; of even order too, with n / 2."""
    one = random_network("C_6", order=4)
    for k in (1, 2, 3):
        assert both(one, [f"freq_{k}"], definition) == [
            pytest.approx(pair, rel=1e-12)
            for pair in both(one, [k], definition)  # type: ignore[list-item]
        ]


@pytest.mark.parametrize("definition", ["nanda2d", "logit", "hidden", "neurons"])
def test_names_of_elements_do_not_matter(definition: Definition) -> None:
    """The same network with its symbols renamed."""
    table = table_of("S_3")
    function = np.random.default_rng(0).standard_normal(6)
    other, order = shuffled(table, 2)
    one, two = written(table, function), written(other, function[order])
    for name in ("sign", "standard"):
        pairs = zip(both(one, [name], definition), both(two, [name], definition), strict=True)
        assert all(a[0] == pytest.approx(b[0], rel=1e-10) for a, b in pairs)


@pytest.mark.parametrize("name", ["S_3", "Q_8"])
def test_by_frequency_has_a_row_per_representation(name: str) -> None:
    """Each equal to the loss of that one alone."""
    one = random_network(name)
    frame = by_frequency(one)
    assert frame["representation"].to_list() == list(representations_of(table_of(name)).names[1:])
    for row in frame.to_dict("records"):
        assert row["loss_without"] == pytest.approx(
            excluded_loss(one, [row["representation"]], "nanda2d").all, rel=1e-10
        )
        assert row["loss_alone"] == pytest.approx(
            restricted_loss(one, [row["representation"]], "nanda2d").all, rel=1e-10
        )


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_a_representation_taken_out_of_the_embedding(kind: str) -> None:
    """The rows of the elements lose it and nothing else; = keeps its row; the model itself is not touched."""
    one = random_network("S_3", kind, order=1)
    group, before = Table(one).group, one.model.W_E.clone()
    after = without_in_embedding(one, ["standard"]).W_E
    assert torch.allclose(after[:6], before[:6] - group.projection(["standard"]) @ before[:6])
    assert group.power(after[:6].detach())[2] < 1e-12 * group.power(before[:6].detach())[2]
    assert torch.equal(after[6:], before[6:])
    assert torch.equal(one.model.W_E, before)


def test_removal_against_random_representations() -> None:
    """Without the key one chance is left, without others nothing changes; as many others as there are."""
    table = table_of("S_4")
    group = representations_of(table)
    one = written(table, 9 * group.characters[group.names.index("standard")].numpy())
    sets = remove_everywhere(Table(one), ["standard"], n_random=20)
    logits = sets[sets["where"] == "logits"]
    assert set(logits[logits["removed"] == "random"]["representations"]) == {"sign", "standard_sign", "s4_2d"}
    assert set(sets["where"]) == {"embedding", "neurons", "logits"}
    clean = Table(one).score(Table(one).logits)
    assert np.allclose(logits[logits["removed"] == "random"]["loss"], clean.all)
    assert logits[logits["removed"] == "key"]["loss"].item() == pytest.approx(math.log(24))


def test_measures_take_representations() -> None:
    """By name, or the key ones; the usual definition of a group is `logit`."""
    table = table_of("S_3")
    one = written(table, 9 * representations_of(table).characters[2].numpy())
    assert measures.restricted_loss(one)["all"] == pytest.approx(restricted_loss(one, ["standard"], "logit").all)
    found = measures.excluded_loss(one, frequencies=("sign",), definition="hidden")
    assert found["train"] == pytest.approx(excluded_loss(one, ["sign"], "hidden").train)
    assert set(measures.frequency_loss(one)) == {"without standard", "standard alone"}


def test_refusals() -> None:
    """A name that there is not, numbers and names together, numbers of a group that is not cyclic."""
    one = random_network("S_3")
    with pytest.raises(InterpError, match="did you mean 'standard'"):
        restricted_loss(one, ["standart"])
    for wrong in ([1], ["sign", 2]):
        with pytest.raises(InterpError, match="representations, by name"):
            restricted_loss(one, wrong)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="1 to 3"):
        restricted_loss(random_network("C_6"), [4])
