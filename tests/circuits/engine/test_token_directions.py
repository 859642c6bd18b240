"""Fourier modes of the embedding as a function of the token, ablated one by one: against embeddings edited by hand."""

from __future__ import annotations

import pytest
import torch

from circuits import Mean, Zero, ablate
from interp import InterpError, Site
from probes import fourier
from tests.models import P, make, subject


def edited(name: str, direction: torch.Tensor, mean: bool) -> float:
    """The loss with a direction taken out of the table, or made what it is on average over the tokens."""
    one, model = subject(name), make(name)
    table = model.W_E[:P]  # type: ignore[union-attr]
    with torch.no_grad():
        coordinate = direction @ table
        table -= (direction - (direction.mean() if mean else 0)).outer(coordinate)
        task = one.require_task()
        return float(task.losses(task.read(model(task.inputs))).mean())


@pytest.mark.parametrize("value", [Zero(), Mean(), Mean(reference="all")], ids=str)
@pytest.mark.parametrize("name", ["plain", "two layers", "layer norm", "shared concat", "shared sum"])
def test_each_mode_is_an_edited_table(name: str, value: Zero | Mean) -> None:
    """Every token occurs equally often at both places, so the mean over inputs is that over tokens; "=" is left alone."""
    basis = fourier.basis(P)
    found = ablate(subject(name), basis=basis, site="hook_embed", value=value)
    expected = [edited(name, f, mean=isinstance(value, Mean)) for f in basis.directions]
    assert found["loss"].tolist() == pytest.approx(expected, rel=1e-9)
    assert found["component"].tolist() == list(basis.names)


def test_whole_frequencies_and_positions() -> None:
    """Cosine and sine together; at one operand alone the other's embedding stays."""
    basis, one = fourier.basis(P), subject("plain")
    pairs = [[2 * k - 1, 2 * k] for k in range(1, P // 2 + 1)]
    found = ablate(one, basis=basis, site="hook_embed", groups=pairs, value=Zero())
    assert found["component"].tolist() == [f"cos {k} + sin {k}" for k in range(1, 4)]
    both = [ablate(one, basis=basis, site=Site("hook_embed", pos=p), value=Zero())["loss"] for p in ([0], [0, 1], None)]
    assert both[1].tolist() == pytest.approx(both[2].tolist())
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_a_basis_that_fits_nothing() -> None:
    one = subject("plain")
    with pytest.raises(InterpError, match="has 9 dimensions, the site's features are 12"):
        ablate(one, basis=fourier.basis(9), site="hook_embed")
    with pytest.raises(InterpError, match="has 7 dimensions"):
        ablate(one, basis=fourier.basis(7), site="blocks.0.hook_resid_pre")
    with pytest.raises(InterpError, match="has 7 dimensions"):
        ablate(subject("per operand"), basis=fourier.basis(7), site="hook_embed")
