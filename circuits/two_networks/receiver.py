"""A site of a network that takes other activations: the rest of the network runs on from them, many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.engine.budget import BATCH, DEFAULT_BYTES, inputs_at_once, slices
from circuits.engine.effects import Effects
from circuits.interventions.layout import Features
from circuits.two_networks.sides import Side
from interp.activations.capture import capture
from interp.activations.transform import transform_at
from interp.hooked.foreign.several import tiled_inputs

Rows = Callable[[slice], Tensor]  # what the site gets for some of the inputs, [part, d]


@dataclass(frozen=True, eq=False)
class Receiver:
    """A site of a network, at the position that is read. Heads and units lie side by side in a row.

    Attributes:
        side: the network.
        site: the hook point.
        rows: its own activation ``[n, d]``, in the network's dtype.
        stream: where a change at the site arrives; None where the network cannot be resumed.
        matrix: through which it arrives; None: as it is.
        base: the unchanged stream ``[n, ..., d_stream]``.
    """

    side: Side
    site: str
    rows: Float[Tensor, "n d"]
    stream: str | None
    matrix: Tensor | None
    base: Tensor | None

    @classmethod
    @torch.no_grad()
    def of(cls, side: Side, site: str) -> Receiver:
        """A site of a side.

        Args:
            side: the network on its inputs.
            site: exact name of a hook point.

        Returns:
            the site, after one forward pass.

        Raises:
            InterpError: an activation that does not have one row per input.
        """
        rows, evaluation = side.rows(site), side.evaluation
        arrival = evaluation.arrival(site)
        if arrival is None:
            return cls(side, site, rows, None, None, None)
        stream, matrix = arrival
        base = capture(evaluation.model, evaluation.inputs, stream, batch_size=BATCH)[stream]
        return cls(side, site, rows, stream, None if matrix is None else matrix.detach(), base)

    @torch.no_grad()
    def measured(self, changes: Sequence[Rows], max_bytes: int = DEFAULT_BYTES) -> Effects:
        """The metrics with the site's activation replaced in many ways.

        All replacements run as one batch; the network before the site does not run again.

        Args:
            changes: for each, a function of a slice of the inputs that gives the rows in place of the site's own.
            max_bytes: of activations at once.

        Returns:
            the metrics of the side's evaluation, summed over its parts.
        """
        evaluation = self.side.evaluation
        sums = torch.zeros(len(changes), *evaluation.parts.shape[1:], len(evaluation.metrics)).to(evaluation.parts)
        at_once = inputs_at_once(evaluation, max_bytes)
        for group, part, outputs in self._resumed(changes, at_once) if self.stream else self._hooked(changes, at_once):
            sums[group] += torch.einsum("gnm,np->gpm", evaluation.judge(outputs, part), evaluation.parts[part])
        return Effects(sums, evaluation.sizes)

    def _resumed(self, changes: Sequence[Rows], at_once: int) -> Iterator[tuple[slice, slice, Tensor]]:
        assert self.base is not None
        assert self.stream is not None
        model, k = self.side.evaluation.model, max(1, min(len(changes), at_once))
        for group in slices(len(changes), k):
            for part in slices(len(self.rows), max(1, at_once // k)):
                own = self.rows[part]
                moved = torch.stack([change(part).to(own) - own for change in changes[group]])
                moved = moved if self.matrix is None else moved @ self.matrix.to(own)
                stream = self.base[part].expand(len(moved), *self.base[part].shape).clone()
                self._at_readout(stream, moved)
                yield group, part, model.resume(self.stream, stream.flatten(0, 1)).unflatten(0, stream.shape[:2])

    def _at_readout(self, stream: Tensor, moved: Tensor) -> None:
        """Add moves ``[k, n, d]`` to streams ``[k, n, ..., d]``, in place, at the position that is read."""
        assert self.stream is not None
        axes = self.side.evaluation.model.axes_of(self.stream)
        if "pos" not in axes:
            stream += moved.reshape(stream.shape)
            return
        where = axes.index("pos") + 1
        place = stream.select(where, self._position(stream.shape[where]))
        place += moved.reshape(place.shape)

    def _position(self, length: int) -> int:
        task = self.side.subject.task
        assert task is not None  # rows were read at its position
        assert task.readout is not None
        return task.readout if length > 1 else 0

    def _hooked(self, changes: Sequence[Rows], at_once: int) -> Iterator[tuple[slice, slice, Tensor]]:
        """The whole network on copies of all inputs, with a hook at the site."""
        evaluation, n = self.side.evaluation, len(self.rows)
        model, features = evaluation.model, Features(evaluation.model.axes_of(self.site))
        k = max(1, at_once // n) if evaluation.alone else 1
        for group in slices(len(changes), k):
            put = torch.cat([change(slice(0, n)).to(self.rows) for change in changes[group]])

            def replaced(activation: Tensor, put: Tensor = put) -> Tensor:
                flat = features.last(activation).clone()
                if "pos" in features.flat_axes:
                    flat[:, self._position(flat.shape[1])] = put
                else:
                    flat = put.reshape(flat.shape)
                return features.back(flat, activation.shape)

            copies = len(changes[group])
            with transform_at(model, {self.site: replaced}):
                outputs = model(tiled_inputs(evaluation.inputs, copies))
            yield group, slice(0, n), outputs.unflatten(0, (copies, n))


def constant(row: Float[Tensor, "d"]) -> Rows:
    """The same row for every input."""

    def rows(part: slice) -> Tensor:
        return row.expand(part.stop - part.start, len(row))

    return rows
