"""Basis: orthonormal by construction, checked, and a projection in the algebraic sense."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp import InterpError
from interp.errors import UnknownName
from probes.basis import Basis, as_basis
from probes.spectra import Reduction, pca, svd

shapes = st.integers(2, 12).flatmap(lambda dim: st.tuples(st.integers(1, dim), st.just(dim), st.integers(0, 99)))


@given(shapes)
def test_keep_and_remove_are_projections(shape: tuple[int, int, int]) -> None:
    """Idempotent, complementary, and orthogonal to each other."""
    n, dim, seed = shape
    basis = Basis.random(n, dim, seed)
    x = torch.randn(5, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    kept, removed = basis.keep(x), basis.remove(x)
    torch.testing.assert_close(basis.keep(kept), kept, rtol=0, atol=1e-12)
    torch.testing.assert_close(kept + removed, x, rtol=0, atol=1e-12)
    assert (kept * removed).sum(-1).abs().max() < 1e-10
    assert basis.coordinates(removed).abs().max() < 1e-12


@given(shapes)
def test_what_the_refusal_advises_works(shape: tuple[int, int, int]) -> None:
    """Directions that are not orthonormal are refused; made orthonormal as the message says, they span the same space."""
    n, dim, seed = shape
    vectors = 2 * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with pytest.raises(InterpError, match=r"torch.linalg.qr\(directions.T\).Q.T"):
        Basis(vectors)
    basis = Basis(torch.linalg.qr(vectors.T).Q.T)
    assert basis.names == tuple(map(str, range(n)))
    torch.testing.assert_close(basis.keep(vectors), vectors, rtol=0, atol=1e-9)


def test_refusals() -> None:
    """Directions that are not orthonormal, wrong names, wrong shapes, and kinds that are not a basis."""
    with pytest.raises(InterpError, match=r"not orthonormal.*torch.linalg.qr"):
        Basis(torch.tensor([[1.0, 0.1], [0.0, 1.0]]), ("a", "b"))
    with pytest.raises(InterpError, match="not orthonormal"):
        Basis(torch.full((1, 2), torch.nan), ("a",))
    with pytest.raises(InterpError, match="different names"):
        Basis(torch.eye(2), ("a", "a"))
    with pytest.raises(InterpError, match=r"\[n, dim\], got \[2\]"):
        Basis(torch.ones(2))
    with pytest.raises(InterpError, match="the string 'ab'"):
        Basis(torch.eye(2), "ab")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="directions must be a tensor or an array, got a str"):
        Basis("cos 1")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="the number of directions must be between 0 and 3, got 5"):
        Basis.random(5, 3, seed=0)
    for units, message in (([5], "no unit 5 among 3"), ([-1], "no unit -1"), ([1, 1], "2 different names")):
        with pytest.raises(InterpError, match=message):
            Basis.neurons(3, units)
    for act in (Basis.neurons(3).coordinates, Basis.neurons(3).keep, Basis.neurons(3).remove):
        with pytest.raises(InterpError, match=r"need points \[..., 3\], got \[2\]"):
            act(torch.ones(2))
    for given_ in (None, "cos 1", Basis, Reduction, torch.nn.Linear(2, 2), [], {"directions": 1}):
        with pytest.raises(InterpError, match="a Basis is needed, got .*pca"):
            as_basis(given_)
    for given_ in ([[1.0, 0.1], [0.0, 1.0]], np.full((2, 2), np.nan)):
        with pytest.raises(InterpError, match="not orthonormal"):
            as_basis(given_)
    with pytest.raises(InterpError, match="3 directions cannot be orthonormal in 2"):
        Basis(torch.zeros(3, 2), ("a", "b", "c"))
    with pytest.raises(UnknownName, match="did you mean 'cos 1'"):
        Basis(torch.eye(2), ("cos 1", "sin 1")).select(["cos1"])


def test_points_and_directions_in_any_form() -> None:
    """Whole numbers, such as tokens, arrays and lists have the coordinates of the same numbers in float64."""
    basis = Basis.random(2, 3, seed=0)
    points = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)
    for act in (basis.coordinates, basis.keep, basis.remove):
        for form in (points.long(), points.numpy(), points.long().tolist()):
            torch.testing.assert_close(act(form), act(points), rtol=0, atol=1e-12)  # type: ignore[arg-type]
    for form in (basis.directions.numpy(), list(basis.directions)):
        assert Basis(form, list(basis.names)) == basis  # type: ignore[arg-type]
        assert hash(Basis(form, list(basis.names))) == hash(basis)  # type: ignore[arg-type]


def test_equality_is_by_content() -> None:
    """Two bases made the same way are the same value."""
    assert Basis.random(2, 5, seed=1) == Basis.random(2, 5, seed=1)
    assert Basis.random(2, 5, seed=1) != Basis.random(2, 5, seed=2)
    assert hash(Basis.neurons(4, [1, 2])) == hash(Basis.neurons(4, [1, 2]))
    assert repr(Basis.neurons(4, [1, 2])) == "Basis(2 of 4: 1, 2)"


def test_what_counts_as_a_basis() -> None:
    """Itself, the basis of a reduction, and orthonormal rows in any form."""
    data = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own, reduced, decomposed = Basis.random(2, 4, seed=0), pca(data), svd(data)
    assert as_basis(own) is own
    assert as_basis(reduced) is reduced.basis
    assert as_basis(decomposed) is decomposed.basis
    rows = own.directions
    for form in (rows, rows.numpy(), rows.tolist(), list(rows)):
        torch.testing.assert_close(as_basis(form).directions.double(), rows, rtol=0, atol=1e-6)
        assert as_basis(form).names == ("0", "1")
