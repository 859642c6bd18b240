"""Basis: orthonormal by construction, checked, and a projection in the algebraic sense."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp import InterpError
from interp.errors import UnknownName
from probes.basis import Basis

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
def test_spanning_is_gram_schmidt(shape: tuple[int, int, int]) -> None:
    """Each direction lies in the span of the vectors up to its own, on their side."""
    n, dim, seed = shape
    vectors = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    basis = Basis.spanning(vectors, [str(i) for i in range(n)])
    torch.testing.assert_close(basis.keep(vectors), vectors, rtol=0, atol=1e-9)
    coordinates = basis.coordinates(vectors)
    assert coordinates.triu(1).abs().max() < 1e-9
    assert (coordinates.diagonal() > 0).all()


def test_refusals() -> None:
    """Directions that are not orthonormal, dependent vectors, wrong names."""
    with pytest.raises(InterpError, match=r"not orthonormal.*spanning"):
        Basis(torch.tensor([[1.0, 0.1], [0.0, 1.0]]), ("a", "b"))
    with pytest.raises(InterpError, match="not orthonormal"):
        Basis(torch.full((1, 2), torch.nan), ("a",))
    with pytest.raises(InterpError, match="different names"):
        Basis(torch.eye(2), ("a", "a"))
    with pytest.raises(InterpError, match="dependent"):
        Basis.spanning(torch.tensor([[1.0, 2.0], [2.0, 4.0]]), ["a", "b"])
    with pytest.raises(InterpError, match="3 directions cannot be orthonormal in 2"):
        Basis(torch.zeros(3, 2), ("a", "b", "c"))
    with pytest.raises(UnknownName, match="did you mean 'cos 1'"):
        Basis(torch.eye(2), ("cos 1", "sin 1")).select(["cos1"])


def test_equality_is_by_content() -> None:
    """Two bases made the same way are the same value."""
    assert Basis.random(2, 5, seed=1) == Basis.random(2, 5, seed=1)
    assert Basis.random(2, 5, seed=1) != Basis.random(2, 5, seed=2)
    assert hash(Basis.neurons(4, [1, 2])) == hash(Basis.neurons(4, [1, 2]))
    assert repr(Basis.neurons(4, [1, 2])) == "Basis(2 of 4: 1, 2)"
