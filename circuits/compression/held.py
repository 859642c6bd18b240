"""Held sites: an activation restricted to a few directions, with everything else at its mean."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from circuits.compression.derived import score_columns
from circuits.interventions.apply import applied
from circuits.interventions.kinds import Keep
from circuits.interventions.values import Mean, Value
from interp.activations.capture import Activations, capture
from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.scores import Scores, score
from interp.sites import Site, resolve_sites
from interp.subject import Subject, at_readout, table_logits
from probes.basis import Basis
from probes.spectra import Reduction, pca

BATCH = 4096
ROUNDING = 45  # units of rounding, as a share of an activation's norm, within which it counts as constant
MEAN = Mean(reference="all")


def principal_components(subject: Subject, site: str) -> Reduction:
    """Principal components of a site's activation over all inputs of the task.

    Each position is centred at its own mean; all positions together give one set of components.

    Args:
        subject: with a task.
        site: ``hook_embed``, a ``hook_post``, or a site of the residual stream.

    Returns:
        components and singular values.

    Raises:
        UnknownSite: the model has no such site.
        InterpError: a site without a feature axis, or with heads.
    """
    subject = subject.cast()
    reader = at_readout(subject.model, subject.require_task())
    name = one_site(reader, site).name
    _, centred, _ = _activation(subject, reader, name, {name})
    return pca(centred.flatten(0, -2))


def scores_within(subject: Subject, site: Site, basis: Basis, value: Value = MEAN) -> Scores:
    """Scores of a subject whose activation at a site is restricted to the directions of a basis, by a hook."""
    task = subject.require_task()
    reader = at_readout(subject.model, task)
    with applied(reader, Keep(site, basis, value.bound(task)), strict=False):
        return score(task, table_logits(reader, task))


@dataclass(frozen=True, eq=False)
class Held:
    """A site of a subject, ready to be restricted to any number of its principal components.

    Attributes:
        run: of the subject up to the site.
        coordinates: of the site's activation about its mean, along all components ``[n, ..., k]``.
        basis: the components, of this subject or of another.
        total: squared norm of the activation about its mean.
    """

    run: _Run
    coordinates: Tensor
    basis: Basis
    total: float

    @classmethod
    @torch.no_grad()
    def of(cls, subject: Subject, site: str, basis_from: Subject | None = None) -> Held:
        """The site of a subject.

        Args:
            subject: with a task.
            site: ``hook_embed``, a ``hook_post``, or a site of the residual stream.
            basis_from: take the components of this subject's activation instead; means stay the subject's own.

        Returns:
            the site, after one forward pass.

        Raises:
            UnknownSite: a model has no such site.
            MissingCapability: no task is known.
            InterpError: activations of different dimensions, or a site without a feature axis.
        """
        subject.require_task()
        subject.refuse_hooks()
        run = _Run.of(subject.cast(), site)
        found = (
            pca(run.centred.flatten(0, -2)) if basis_from is None else principal_components(basis_from, run.site.name)
        )
        if found.basis.dim != run.centred.shape[-1]:
            raise InterpError(
                f"the components have {found.basis.dim} dimensions, {run.site.name} of {subject.name} has "
                f"{run.centred.shape[-1]}"
            )
        return cls(run, found.basis.coordinates(run.centred), found.basis, float(run.centred.square().sum()))

    def explained(self) -> Tensor:
        """Share of this activation's own variance in the first 0, 1, ... components together ``[k + 1]``."""
        squares = self.coordinates.square().flatten(0, -2).sum(0).double().cumsum(0)
        share = squares / self.total if self.total > 0 else torch.ones_like(squares)
        return torch.cat([share.new_full((1,), 0.0 if self.total > 0 else 1.0), share])

    @torch.no_grad()
    def scores(self, n: int) -> Scores:
        """Scores with the first ``n`` components only."""
        subject, few = self.run.subject, Basis(self.basis.directions[:n], self.basis.names[:n])
        if self.run.base is None:
            return scores_within(subject, self.run.site, few)
        return score(subject.require_task(), self.run.logits(self.coordinates[..., :n], few.directions))

    def row(self, n: int) -> dict[str, object]:
        """A row of `circuits.component_curve`."""
        return {"components": n, "explained": float(self.explained()[n]), **score_columns(self.scores(n))}


@dataclass(frozen=True, eq=False)
class _Run:
    """One forward pass up to a site, from which the rest is run again for every number of components.

    Attributes:
        centred: the site's activation about its mean ``[n, ..., d]``.
        stream: where a change at the site arrives, through ``matrix [d, d_stream]`` (None: unchanged).
        base: the stream with the site at its mean ``[n, ..., d_stream]``; None where the model cannot be resumed.
    """

    subject: Subject
    reader: HookedModel
    site: Site
    centred: Tensor
    stream: str
    matrix: Tensor | None
    base: Tensor | None

    @classmethod
    def of(cls, subject: Subject, site: str) -> _Run:
        task = subject.require_task()
        reader = at_readout(subject.model, task)
        where = one_site(reader, site)
        try:
            stream, matrix = reader.writes(where.name)
        except UnknownSite:
            stream, matrix = None, None
        taken = {where.name, stream or where.name}
        mean, centred, acts = _activation(subject, reader, where.name, taken)
        if stream is None:
            return cls(subject, reader, where, centred, where.name, None, None)
        if matrix is None and stream == where.name:
            return cls(subject, reader, where, centred, stream, None, mean.expand_as(acts[stream]))
        moved = centred if matrix is None else centred @ matrix
        return cls(subject, reader, where, centred, stream, matrix, acts[stream] - moved)

    def logits(self, coordinates: Tensor, directions: Tensor) -> Tensor:
        """The logits ``[n, width]`` where the site keeps these coordinates ``[n, ..., k]`` of ``directions [k, d]``."""
        assert self.base is not None
        task, rows = self.subject.require_task(), directions.to(coordinates)
        if self.matrix is not None:
            rows = rows @ self.matrix
        pairs = zip(self.base.split(BATCH), coordinates.split(BATCH), strict=True)
        return torch.cat([task.read(self.reader.resume(self.stream, base + part @ rows)) for base, part in pairs])


def one_site(model: HookedModel, site: str | Site) -> Site:
    """The hook point that a name, glob or Site names.

    Args:
        model: with hook points.
        site: a name, a glob or a Site.

    Returns:
        the Site.

    Raises:
        UnknownSite: the model has no such site.
        InterpError: it names several.
    """
    found = resolve_sites(model, site)
    if len(found) > 1:
        raise InterpError(f"{site} names {len(found)} hook points; a projection needs one, such as {found[0].name}")
    return found[0]


def _activation(
    subject: Subject, reader: HookedModel, site: str, sites: set[str]
) -> tuple[Tensor, Tensor, Activations]:
    """The site's mean over inputs, the activation about it ``[n, ..., d]``, and those of several sites, of the same pass."""
    axes = reader.axes_of(site)
    if axes[0] != "batch" or axes[-1] != "unit" or "head" in axes:
        raise InterpError(
            f"{site} has the axes {', '.join(axes)}; principal components need a site with a feature axis and without heads, "
            "such as hook_embed, a hook_post or the residual stream"
        )
    taken = capture(reader, subject.require_task().inputs, sites, batch_size=BATCH)
    acts = taken[site]
    mean = acts.mean(0, keepdim=True)
    centred = acts - mean
    if centred.norm() <= ROUNDING * torch.finfo(acts.dtype).eps * acts.norm():
        centred = torch.zeros_like(acts)
    return mean, centred, taken
