"""Projection: a site restricted to a few directions, and what the network still does."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from circuits.compression.derived import scores_of
from circuits.compression.held import MEAN, Held, one_site, scores_within
from circuits.compression.size_curve import SizeCurve
from circuits.interventions.values import ValueLike, as_value
from interp._util.renamed import renamed
from interp.activations.capture import capture
from interp.errors import InterpError, require_range
from interp.hooked.base import HookedModel
from interp.scores import Scores
from interp.sites import Site
from interp.subject import Subject, as_subject, at_readout
from probes.basis import Basis, as_basis
from probes.spectra import Reduction


@renamed(keep="n_directions")
def project(
    subject: Subject | HookedModel,
    basis: Basis | Reduction | Tensor,
    *,
    n_directions: int,
    site: str | Site | None = None,
    value: ValueLike = MEAN,
) -> Scores:
    """Scores of the network whose activation at a site is restricted to the first directions of a basis.

    ``x' = mean + P (x - mean)`` with P the projection on the span: the rest of the activation is replaced by its mean over all
    inputs, at each position its own. In a transformer's last block only the position that is read is restricted.

    Misleads where directions of small variance matter: principal components are ordered by variance, not by use.

    Args:
        subject: with a task.
        basis: a `Basis`, the result of `probes.spectra.pca` or ``svd``, or orthonormal rows.
        n_directions: how many directions are kept, from 0.
        site: where; by default the first hook point with as many features as the basis has dimensions.
        value: what replaces the rest: the mean (the default), `Zero` or ``"zero"``.

    Returns:
        `interp.Scores`: loss and accuracy over all, train and test examples.

    Raises:
        UnknownSite: the model has no such site.
        MissingCapability: no task is known.
        InterpError: a basis of other dimensions, more directions than it has, or a site of several hook points.

    >>> import interp
    >>> from probes.basis import Basis
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> subject = interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model))
    >>> whole = project(subject, Basis.neurons(8), n_directions=8, site="layers.0.hook_post")
    >>> abs(whole.loss - interp.score(subject.task, subject.logits()).loss) < 1e-12
    True
    """
    subject, directions, value = as_subject(subject), as_basis(basis), as_value(value)
    task, subject = subject.require_task(), subject.cast()
    require_range("n_directions", n_directions, 0, len(directions))
    subject.refuse_hooks()
    reader = at_readout(subject.model, task)
    where = _first_that_fits(reader, task.inputs, directions) if site is None else one_site(reader, site)
    few = Basis(directions.directions[:n_directions], directions.names[:n_directions])
    return scores_within(subject, where, few, value)


def component_curve(
    subject: Subject | HookedModel,
    site: str,
    *,
    basis_from: Subject | None = None,
    amounts: Sequence[int] | None = None,
) -> SizeCurve:
    """Loss and accuracy against the number of principal components that a site keeps; the rest is replaced by its mean.

    The same as `project` for each amount. Where the model can be resumed from the site, the network runs once, and for each
    amount only what follows the site.

    The lottery-ticket view: with ``basis_from`` the end of the run, how much of what the end uses is there at the start
    (Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning, appendix K,
    https://arxiv.org/abs/2205.10343).

    Args:
        subject: with a task.
        site: ``hook_embed``, a ``hook_post``, or a site of the residual stream.
        basis_from: take the components of this subject's activation at the site instead; means stay the subject's own.
        amounts: numbers of components; by default all up to 16, then in steps of a quarter, up to all.

    Returns:
        A DataFrame with a row per amount: ``components``, ``explained`` (share of this activation's own variance), and ``loss,
        train_loss, test_loss, accuracy, train_accuracy, test_accuracy, correct``. It follows `circuits.findings.Findings`.

    Raises:
        UnknownSite: the model, or that of ``basis_from``, has no such site.
        MissingCapability: no task is known.
        InterpError: activations of different dimensions, amounts outside 0 to the number of components.
    """
    subject = as_subject(subject)
    held = Held.of(subject, site, None if basis_from is None else as_subject(basis_from))
    counts = spread(len(held.basis)) if amounts is None else sorted(set(amounts))
    for n in counts:
        require_range("amounts", n, 0, len(held.basis))
    return SizeCurve.of_rows([held.row(n) for n in counts], "components", scores_of(subject))


def spread(largest: int) -> list[int]:
    """Every number up to 16, then steps of a quarter, up to the largest.

    Args:
        largest: the last number.

    Returns:
        the numbers, 0 first.

    >>> spread(25)[-4:]
    [15, 16, 20, 25]
    """
    found = list(range(min(largest, 16) + 1))
    while found[-1] < largest:
        found.append(min(found[-1] * 5 // 4, largest))
    return found


def _first_that_fits(model: HookedModel, inputs: Tensor, basis: Basis) -> Site:
    for name, activation in capture(model, inputs[:1], "*").items():
        axes = model.axes_of(name)
        if axes[-1] == "unit" and "head" not in axes and activation.shape[-1] == basis.dim:
            return Site(name)
    raise InterpError(f"no hook point has {basis.dim} features, as {basis} has dimensions; name one with site=")
