"""Projection: a site held to a few directions, and what the network still does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd
import torch
from torch import Tensor

from circuits.interventions.apply import applied
from circuits.interventions.kinds import Keep
from circuits.interventions.values import Mean, Value
from circuits.scores import Scores, scores
from interp.activations.capture import capture
from interp.errors import InterpError, UnknownSite, require_range
from interp.hooked.base import HookedModel
from interp.sites import Site, resolve_sites
from interp.subject import Subject, at_readout, table_logits
from probes.basis import Basis
from probes.spectra import Reduction, pca

BATCH = 4096
ROUNDING = 45  # units of rounding, as a share of an activation's norm, within which it counts as a constant


def project(
    subject: Subject,
    basis: Basis,
    *,
    keep: int,
    site: str | Site | None = None,
    value: Value = Mean(reference="all"),
) -> Scores:
    """Scores of the network whose activation at a site is held to the first directions of a basis.

    ``x' = mean + P (x - mean)`` with P the projection on the span: the rest of the activation becomes its mean over all
    inputs, at each position its own. In a transformer's last block the position that is read alone is held.

    Misleads where directions of small variance matter: principal components are ordered by variance, not by use.

    Args:
        keep: how many directions, from 0.
        site: where; by default the first hook point that has as many features as the basis has dimensions.
        value: what the rest becomes: the mean, or `Zero`.

    Raises:
        UnknownSite: the model has no such site.
        MissingCapability: no task is known.
        InterpError: a basis of other dimensions, more directions than it has, or a site of several hook points.

    >>> import torch, interp
    >>> from probes.basis import Basis
    >>> from circuits.scores import scores
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> subject = interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model))
    >>> whole = project(subject, Basis.neurons(8), keep=8, site="layers.0.hook_post")
    >>> abs(whole.loss - scores(subject).loss) < 1e-12
    True
    """
    task, subject = subject.require_task(), subject.cast()
    require_range("keep", keep, 0, len(basis))
    subject.refuse_hooks()
    reader = at_readout(subject.model, task)
    where = _first_that_fits(reader, task.inputs, basis) if site is None else _one_site(reader, site)
    few = Keep(where, Basis(basis.directions[:keep], basis.names[:keep]), value.bound(task))
    with applied(reader, few, strict=False):
        logits = table_logits(reader, task)
    return scores(subject, logits)


def components(subject: Subject, site: str) -> Reduction:
    """Principal components of a site's activation over all inputs, each position about its own mean, all positions together.

    Raises:
        UnknownSite: the model has no such site.
        InterpError: a site without a feature axis, or with heads.
    """
    subject = subject.cast()
    reader = at_readout(subject.model, subject.require_task())
    _, centred, _ = _activation(subject, reader, _one_site(reader, site).name)
    return pca(centred.flatten(0, -2))


def component_curve(
    subject: Subject, site: str, *, basis_from: Subject | None = None, amounts: Sequence[int] | None = None
) -> pd.DataFrame:
    """Accuracy and loss against the number of principal components that a site keeps; the rest becomes its mean.

    The same as `project` for each amount. Where the model can go on from the site, the network runs once, and for each
    amount what follows the site alone.

    The lottery-ticket view (METHODS C; Liu et al. 2022, appendix K): with ``basis_from`` the end of the run, how much of
    what the end uses is there at the start.

    Args:
        site: ``hook_embed``, a ``hook_post``, or a site of the residual stream.
        basis_from: take the components of this subject's activation at the site instead; means stay the subject's own.
        amounts: numbers of components; by default all up to 16, then in steps of a quarter, up to all.

    Returns:
        ``components``, ``explained`` (share of this activation's own variance that they hold), and the fields of `Scores`.

    Raises:
        UnknownSite: a site that the model, or that of ``basis_from``, has not.
        MissingCapability: no task is known.
        InterpError: activations of different dimensions, amounts outside 0 to the number of components.
    """
    held = Held.of(subject, site, basis_from)
    counts = spread(len(held.basis)) if amounts is None else sorted(set(amounts))
    for n in counts:
        require_range("amounts", n, 0, len(held.basis))
    return pd.DataFrame([held.row(n) for n in counts])


def spread(largest: int) -> list[int]:
    """Every number up to 16, then steps of a quarter, up to the largest.

    >>> spread(25)[-4:]
    [15, 16, 20, 25]
    """
    found = list(range(min(largest, 16) + 1))
    while found[-1] < largest:
        found.append(min(found[-1] * 5 // 4, largest))
    return found


@dataclass(frozen=True, eq=False)
class Held:
    """A site of a subject, ready to be held to any number of its principal components.

    Attributes:
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
        """Arguments and errors as of `component_curve`."""
        subject.require_task()
        subject.refuse_hooks()
        run = _Run.of(subject.cast(), site)
        found = pca(run.centred.flatten(0, -2)) if basis_from is None else components(basis_from, site)
        if found.basis.dim != run.centred.shape[-1]:
            raise InterpError(
                f"the components have {found.basis.dim} dimensions, {run.site} of {subject.name} has {run.centred.shape[-1]}"
            )
        return cls(run, found.basis.coordinates(run.centred), found.basis, float(run.centred.square().sum()))

    def explained(self) -> Tensor:
        """Share of this activation's own variance in the first 0, 1, ... components, all told ``[k + 1]``."""
        squares = self.coordinates.square().flatten(0, -2).sum(0).double().cumsum(0)
        share = squares / self.total if self.total > 0 else torch.ones_like(squares)
        return torch.cat([share.new_full((1,), 0.0 if self.total > 0 else 1.0), share])

    @torch.no_grad()
    def scores(self, n: int) -> Scores:
        """With the first ``n`` components alone."""
        subject = self.run.subject
        if self.run.base is None:
            return project(subject, self.basis, keep=n, site=self.run.site)
        return scores(subject, self.run.logits(self.coordinates[..., :n], self.basis.directions[:n]))

    def row(self, n: int) -> dict[str, object]:
        """A row of `component_curve`."""
        return {"components": n, "explained": float(self.explained()[n]), **asdict(self.scores(n))}


@dataclass(frozen=True, eq=False)
class _Run:
    """One forward pass up to a site, from which the rest is run again for every number of components.

    Attributes:
        centred: the site's activation about its mean ``[n, ..., d]``.
        stream: where a change at the site arrives, by ``matrix [d, d_stream]`` (None: as it is).
        base: the stream with the site at its mean ``[n, ..., d_stream]``; None where the model cannot be resumed.
    """

    subject: Subject
    reader: HookedModel
    site: str
    centred: Tensor
    stream: str
    matrix: Tensor | None
    base: Tensor | None

    @classmethod
    def of(cls, subject: Subject, site: str) -> _Run:
        task = subject.require_task()
        reader = at_readout(subject.model, task)
        name = _one_site(reader, site).name
        mean, centred, acts = _activation(subject, reader, name)
        try:
            stream, matrix = reader.writes(name)
        except UnknownSite:
            return cls(subject, reader, name, centred, name, None, None)
        if matrix is None and stream == name:
            return cls(subject, reader, name, centred, stream, None, mean.expand_as(acts))
        arrived = capture(reader, task.inputs, stream, batch_size=BATCH)[stream]
        moved = centred if matrix is None else centred @ matrix
        return cls(subject, reader, name, centred, stream, matrix, arrived - moved)

    def logits(self, coordinates: Tensor, directions: Tensor) -> Tensor:
        """What the task reads ``[n, width]`` where the site keeps these coordinates ``[n, ..., k]`` of ``directions [k, d]``."""
        assert self.base is not None
        task, rows = self.subject.require_task(), directions.to(coordinates)
        if self.matrix is not None:
            rows = rows @ self.matrix
        pairs = zip(self.base.split(BATCH), coordinates.split(BATCH), strict=True)
        return torch.cat([task.read(self.reader.resume(self.stream, base + part @ rows)) for base, part in pairs])


def _activation(subject: Subject, reader: HookedModel, site: str) -> tuple[Tensor, Tensor, Tensor]:
    """The site's mean over inputs, the activation about it, and the activation ``[n, ..., d]``."""
    axes = reader.axes_of(site)
    if axes[0] != "batch" or axes[-1] != "unit" or "head" in axes:
        raise InterpError(
            f"{site} has the axes {', '.join(axes)}; components are taken of sites with features alone, "
            "such as hook_embed, hook_post and the residual stream"
        )
    acts = capture(reader, subject.require_task().inputs, site, batch_size=BATCH)[site]
    mean = acts.mean(0, keepdim=True)
    centred = acts - mean
    if centred.norm() <= ROUNDING * torch.finfo(acts.dtype).eps * acts.norm():
        centred = torch.zeros_like(acts)
    return mean, centred, acts


def _first_that_fits(model: HookedModel, inputs: Tensor, basis: Basis) -> Site:
    for name, activation in capture(model, inputs[:1], "*").items():
        axes = model.axes_of(name)
        if axes[-1] == "unit" and "head" not in axes and activation.shape[-1] == basis.dim:
            return Site(name)
    raise InterpError(f"no hook point has {basis.dim} features, as {basis} has dimensions")


def _one_site(model: HookedModel, site: str | Site) -> Site:
    found = resolve_sites(model, site)
    if len(found) > 1:
        raise InterpError(f"{site} names {len(found)} hook points; a projection is of one, such as {found[0].name}")
    return found[0]
