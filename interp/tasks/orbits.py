"""Orbits of a finite group of permutations, with signs, by its generators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Step = tuple[np.ndarray, np.ndarray, np.ndarray]  # where a generator takes examples and outputs, and its signs


@dataclass(frozen=True, eq=False)
class Orbits:
    """Orbits of pairs (example, output) under a group.

    Attributes:
        index: of each pair's orbit ``[n * width]``.
        signs: with which it stands in the orbit ``[n * width]``; 0 where the orbit holds a pair with both signs, so that
            every equivariant function vanishes there; None without signs.
        sizes: number of pairs by orbit.
    """

    index: Int[Tensor, "pairs"]
    signs: Float[Tensor, "pairs"] | None
    sizes: Float[Tensor, "orbit"]

    @classmethod
    def of(cls, inputs: Tensor, outputs: Tensor, signs: Tensor | None) -> Orbits:
        """The orbits of a group by its generators.

        Every example is first led back to one of its orbit; what is left to join are the outputs at that one.

        Args:
            inputs: where each generator takes each example ``[generator, n]``.
            outputs: where it takes each output ``[generator, width]``.
            signs: by which it multiplies each output as well; None for none.

        Returns:
            the orbits.
        """
        steps = _generators(inputs, outputs, signs)
        walk = _Walk.of(steps)
        found = walk.joined(steps, signed=signs is not None)
        index = found.index[walk.place]
        turned = None if found.signs is None else found.signs[walk.place] * walk.signs
        names, index = np.unique(index, return_inverse=True)
        sizes = np.bincount(index, minlength=len(names))
        as_signs = None if turned is None else torch.from_numpy(turned).double()
        return cls(torch.from_numpy(index), as_signs, torch.from_numpy(sizes).double())

    @cached_property
    def n_free(self) -> int:
        """Dimension of the equivariant functions: orbits on which they need not vanish."""
        if self.signs is None:
            return len(self.sizes)
        return len(self.index[self.signs != 0].unique())

    def sums(self, values: Tensor) -> Tensor:
        """Sum of ``values [..., n, width]`` over each orbit ``[..., orbit]``, with signs."""
        flat = values.flatten(-2)
        flat = flat if self.signs is None else flat * self.signs.to(flat)
        found = flat.new_zeros(*flat.shape[:-1], len(self.sizes))
        return found.scatter_add_(-1, self.index.to(flat.device).expand_as(flat), flat)

    def spread(self, by_orbit: Tensor) -> Tensor:
        """A value per orbit at each of its pairs ``[..., n * width]``, with signs."""
        values = by_orbit[..., self.index.to(by_orbit.device)]
        return values if self.signs is None else values * self.signs.to(values)


@dataclass(frozen=True)
class _Joined:
    """Which class each place is in, and with which sign (None where nothing changes sign)."""

    index: np.ndarray
    signs: np.ndarray | None


@dataclass(frozen=True)
class _Walk:
    """Every pair led back to the first example of its orbit, by generators.

    Attributes:
        place: of each pair ``[n * width]``: first example times the width, plus the output there.
        signs: with which it arrives.
    """

    place: np.ndarray
    signs: np.ndarray

    @classmethod
    def of(cls, steps: Sequence[Step]) -> _Walk:
        """The walk of every example under some generators."""
        n, width = len(steps[0][0]), len(steps[0][1])
        orbit = components(np.stack([there for there, _, _ in steps]))
        first = np.unique(orbit, return_index=True)[1]
        place, signs = np.zeros((n, width), dtype=np.int64), np.ones((n, width), dtype=np.int8)
        place[first] = np.arange(len(first))[:, None] * width + np.arange(width)
        reached = np.zeros(n, dtype=bool)
        reached[first] = True
        frontier = first
        while len(frontier):
            fresh = []
            for there, out, sign in steps:
                start = frontier[~reached[there[frontier]]]
                end = there[start]
                place[np.ix_(end, out)] = place[start]
                signs[np.ix_(end, out)] = signs[start] * sign
                reached[end] = True
                fresh.append(end)
            frontier = np.concatenate(fresh)
        return cls(place.ravel(), signs.ravel())

    def joined(self, steps: Sequence[Step], *, signed: bool) -> _Joined:
        """Places at first examples that some element of the group takes to each other."""
        width = len(steps[0][1])
        place, signs = self.place.reshape(-1, width), self.signs.reshape(-1, width)
        places = int(place.max()) + 1
        links = [np.zeros((2, 0), dtype=np.int64)]
        for there, out, sign in steps:
            here, end = place, place[there][:, out]
            turned = (signs * sign != signs[there][:, out]) if signed else np.zeros(place.shape, dtype=bool)
            new = (here != end) | turned
            links.append(np.unique(np.stack([here[new], end[new] + places * turned[new]]), axis=1))
        start, end = np.concatenate(links, axis=1)
        if not signed:
            return _Joined(_linked(start, end, places), None)
        # every place twice, with either sign: a class that joins both copies holds 0 only
        both = np.concatenate([start, start + places]), np.concatenate([end, (end + places) % (2 * places)])
        joined = _linked(*both, 2 * places)
        plus, minus = joined[:places], joined[places:]
        return _Joined(np.minimum(plus, minus), np.where(plus == minus, 0.0, np.where(plus < minus, 1.0, -1.0)))


def _generators(inputs: Tensor, outputs: Tensor, signs: Tensor | None) -> list[Step]:
    signs = torch.ones_like(outputs) if signs is None else signs
    return [(i.numpy(), o.numpy(), s.numpy().astype(np.int8)) for i, o, s in zip(inputs, outputs, signs, strict=True)]


def components(there: np.ndarray) -> np.ndarray:
    """Which orbit each place is in.

    Args:
        there: where each generator takes each place ``[generator, place]``.

    Returns:
        a number per place, from 0 on.

    >>> components(np.array([[1, 0, 2]])).tolist()
    [0, 0, 1]
    """
    generators, places = there.shape
    return _linked(np.tile(np.arange(places), generators), there.ravel(), places)


def _linked(start: np.ndarray, end: np.ndarray, places: int) -> np.ndarray:
    """Which component each place is in, where ``start`` and ``end`` are linked."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(start), dtype=np.int8), (start, end)), shape=(places, places))
    return connected_components(graph, directed=False)[1].astype(np.int64)
