"""Spectra by representation: against matrix entries, Fourier modes, and logits made of one character."""

from __future__ import annotations

import pytest
import torch

from interp import GroupComposition, HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability
from interp.groups import Representations, representations_of
from probes import cyclic_tables, fourier, group_tables, representations
from tests.circuits.fourier.groups import random_network, written
from tests.interp.groups.test_representations import shuffled, table_of
from tests.models import subject

GROUPS = ("S_3", "A_4", "D_5", "Q_8", "C_7", "C_3xC_6")


def group_of(name: str, order: int = 0) -> Representations:
    return representations_of(shuffled(table_of(name), order)[0])


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def entries(group: Representations, row: int) -> torch.Tensor:
    """Orthonormal functions that span the matrix entries of a representation."""
    found = torch.linalg.svd(group.matrices(group.names[row]).flatten(1), full_matrices=False)
    return found.U[:, found.S > 1e-8]


@pytest.mark.parametrize("name", GROUPS)
def test_neuron_shares_by_matrix_entries(name: str) -> None:
    """A least-squares fit of rho(a), rho(b) and rho(ab) to the neurons explains as much."""
    group = group_of(name)
    n, values = group.order, noise(group.order, group.order, 3) + 2
    a, b = torch.cartesian_prod(torch.arange(n), torch.arange(n)).T
    shares = representations.neuron_shares(values, group)
    flat = values.flatten(0, 1) - values.mean((0, 1))
    for row in range(1, len(group)):
        modes = entries(group, row)
        columns = torch.cat([modes[a], modes[b], modes[group.table[a, b]]], 1)
        fit = columns @ torch.linalg.lstsq(columns, flat, driver="gelsd").solution
        assert torch.allclose(shares[row], fit.pow(2).sum(0) / flat.pow(2).sum(0), atol=1e-10)
    assert shares[0].eq(0).all()
    assert (shares.sum(0) <= 1).all()


def test_neurons_that_do_not_vary_have_no_representation() -> None:
    """Whatever their constant."""
    group = group_of("S_3")
    assert representations.neuron_shares(torch.full((6, 6, 2), 0.1), group).eq(0).all()


@pytest.mark.parametrize("name", GROUPS)
def test_logit_shares_by_dense_projections(name: str) -> None:
    """Functions of a * b, of a * b * c^-1, and the character, each laid out over (a, b, c)."""
    group = group_of(name)
    logits = noise(group.order, group.order, group.order) + 3 * noise(group.order)
    found = representations.logit_shares(logits, group)
    centred = logits - logits.mean((0, 1))
    total, quotients = centred.pow(2).sum(), group.table[group.table][:, :, group.inverse]
    assert found.total == pytest.approx(float(total))
    for row in range(1, len(group)):
        modes = entries(group, row)
        on_product = modes[group.table].flatten(0, 1) / group.order**0.5
        on_quotient = modes[quotients].flatten(0, 2) / group.order
        character = group.characters[row][quotients].flatten()
        assert found.on_product[row] == pytest.approx(
            float((on_product.T @ centred.flatten(0, 1)).pow(2).sum() / total)
        )
        assert found.on_quotient[row] == pytest.approx(float((on_quotient.T @ centred.flatten()).pow(2).sum() / total))
        along = (character @ centred.flatten()).pow(2) / character.pow(2).sum() / total
        assert found.on_character[row] == pytest.approx(float(along))
    assert found.on_product[0] == found.on_quotient[0] == found.on_character[0] == 0


@pytest.mark.parametrize("n", [5, 6, 13])
def test_in_a_cyclic_group_they_are_fourier_modes(n: int) -> None:
    """Powers, shares of logits and thresholds equal those of frequencies."""
    group, logits, rows = group_of(f"C_{n}", 0), noise(n, n, n), noise(n, 4)
    group = representations_of((torch.arange(n)[:, None] + torch.arange(n)) % n)
    assert torch.allclose(group.power(rows), fourier.spectrum(rows))
    mine, theirs = representations.logit_shares(logits, group), fourier.logit_shares(logits)
    assert torch.allclose(mine.on_product[1:], theirs.on_sum[1:])
    assert torch.allclose(mine.on_quotient[1:], theirs.on_difference[1:])
    if n % 2:  # the threshold for frequencies takes two dimensions for n / 2, too
        assert representations.logit_threshold(group)[1:].tolist() == pytest.approx(
            [fourier.logit_threshold(n)] * (n // 2)
        )
    waves = torch.cos(
        2 * torch.pi * 2 * (torch.arange(n)[:, None, None] + torch.arange(n)[:, None] - torch.arange(n)) / n
    )
    assert representations.key_representations(waves + 0.01 * logits, group) == ["freq_2"]
    assert fourier.logit_frequencies(waves + 0.01 * logits) == [2]


def test_key_representations_of_noise_and_of_nothing() -> None:
    """White noise has none; constant logits have none."""
    group = group_of("S_4")
    for seed in range(5):
        logits = torch.randn(24, 24, 24, generator=torch.Generator().manual_seed(seed))
        assert representations.key_representations(logits, group) == []
    assert representations.key_representations(torch.ones(24, 24, 24), group) == []


def test_key_representations_strongest_first() -> None:
    """Two characters with noise below them."""
    group = group_of("S_4", 3)
    quotients = group.table[group.table][:, :, group.inverse]
    mixed = 2 * group.characters[1] + 5 * group.characters[4]
    logits = mixed[quotients] + 0.1 * noise(24, 24, 24)
    shares = representations.logit_shares(logits, group).on_quotient
    strongest = sorted((group.names[r] for r in (1, 4)), key=lambda name: -float(shares[group.names.index(name)]))
    assert representations.key_representations(logits, group) == strongest


def test_tables_of_a_group_follow_its_elements() -> None:
    """Logits, embeddings and neurons in the order of the elements; of a cyclic task in that of its exponents."""
    one = random_network("S_3", order=1)
    logits, task = group_tables.logit_table(one), one.require_task()
    assert torch.equal(logits, one.logits().view(6, 6, 6))
    assert torch.equal(group_tables.embedding_tables(one)["W_E"], one.model.W_E.detach())  # type: ignore[attr-defined]
    structure = task.group()
    assert not isinstance(structure, str)
    assert torch.equal(structure.table.flatten(), task.labels)
    cyclic = subject("plain")
    assert torch.equal(group_tables.logit_table(cyclic), cyclic_tables.logit_table(cyclic))


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
def test_a_cyclic_task_is_a_group(operation: str) -> None:
    """Its answers are products in the group, through the names of the symbols."""
    task = ModularArithmetic(7, operation)
    group = task.group()
    assert not isinstance(group, str)
    a, b = task.pairs.T
    inside = (group.left[a] >= 0) & (group.right[b] >= 0)
    products = group.table[group.left[a[inside]], group.right[b[inside]]]
    assert torch.equal(products, group.out[task.labels[inside]])


def test_what_is_no_group_says_so() -> None:
    """With the reason; a loss without logits, too."""
    for task, reason in (
        (ModularArithmetic(7, "x^2+y^2"), "not addition"),
        (GroupComposition("S_3", loss="vectors"), "not one score per answer"),
    ):
        assert reason in str(task.group())
        with pytest.raises(MissingCapability, match=reason):
            group_tables.rows(task)


def test_wrong_shapes_are_refused() -> None:
    """What is wanted, and where it comes from."""
    group = group_of("S_3")
    with pytest.raises(InterpError, match=r"\[6, 6, 6\].*logit_table"):
        representations.logit_shares(torch.ones(6, 6), group)
    with pytest.raises(InterpError, match=r"\[6, 6, \.\.\.\]"):
        representations.neuron_shares(torch.ones(5, 5, 2), group)


def test_the_embedding_of_a_written_network_is_flat() -> None:
    """One-hot embeddings have power in proportion to the rank of each part."""
    table = table_of("S_3")
    one = written(table, representations_of(table).characters[1].numpy())
    power = group_tables.embedding_tables(one)["W_E"]
    assert representations_of(table).power(power).tolist() == pytest.approx([1, 1, 4])


@pytest.mark.parametrize("form", ["a b", "b a"])
def test_the_first_matrix_of_a_network_that_takes_vectors_is_its_embedding(form: str) -> None:
    """One-hot operands pick its rows, wherever each stands; added, they share them."""
    model = HookedMLP(MLPConfig((4,), 6, d_in=12)).init_weights(0)
    one = Subject("one-hot", model, GroupComposition("S_3", form=form).fit(model))
    tables, matrix = group_tables.embedding_tables(one), dict(model.named_parameters())["layers.0.W"].detach().double()
    first, second = (matrix[:6], matrix[6:]) if form == "a b" else (matrix[6:], matrix[:6])
    assert torch.equal(tables["W_in left"], first)
    assert torch.equal(tables["W_in right"], second)
    model = HookedMLP(MLPConfig((4,), 6, d_in=6)).init_weights(0)
    tables = group_tables.embedding_tables(Subject("sum", model, GroupComposition("S_3").fit(model)))
    assert torch.equal(tables["W_in"], dict(model.named_parameters())["layers.0.W"].detach().double())
    cyclic = Subject("sum", model, ModularArithmetic(6).fit(model))
    assert cyclic_tables.embedding_tables(cyclic).keys() == {"W_in", "W_U"}
