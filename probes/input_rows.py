"""Activations as a matrix with a row per input: what similarity of representations is computed from."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.activations.capture import DEFAULT_BUDGET, capture
from interp.errors import InterpError, MissingCapability
from interp.hooked.foreign.several import Inputs
from interp.sites import SitePattern, hidden_sites, resolve_sites
from interp.snapshot import activation_at_readout
from interp.subject import Subject, as_subject, at_readout

BATCH = 4096


def input_rows(
    subject: Subject,
    inputs: Tensor | Inputs | None = None,
    sites: SitePattern | None = None,
    *,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BUDGET,
) -> dict[str, Float[Tensor, "n d"]]:
    """Activations at sites as matrices, one row per input.

    Where a site has positions, they are read at the task's; without a task a site names one: ``Site(name, pos=-1)``. Heads and
    units lie side by side.

    Args:
        subject: a network, with its task if it has one.
        inputs: ``[n, ...]``; the task's examples by default.
        sites: names, globs or `Site`s; the hidden layers by default.
        dtype: of the computation; the subject's precision by default.
        max_bytes: limit on the result's size.

    Returns:
        ``[n, d]`` by site.

    Raises:
        MissingCapability: no inputs and no task, or no hidden layers and no sites.
        InterpError: positions without a task to say which is read, or an activation without a row per input.
        UnknownSite: a site that the model does not have.
    """
    subject = as_subject(subject)
    subject.refuse_hooks()
    task, model = subject.task, subject.model.cast(dtype or subject.precision)
    if inputs is None:
        inputs = subject.require_task().inputs
    if sites is None and not (sites := hidden_sites(model)):
        raise MissingCapability(f"{subject.name}: a {type(model).__name__} has no hidden layers; name sites")
    wanted = resolve_sites(model, sites)
    reader = model if task is None or any(site.pos is not None for site in wanted) else at_readout(model, task)
    acts = capture(reader, inputs, wanted, batch_size=BATCH, max_bytes=max_bytes)
    found = {}
    for site in wanted:
        values, axes = acts[str(site)], acts.axes[str(site)]
        if "pos" in axes:
            if task is None or task.readout is None:
                raise InterpError(
                    f"{subject.name}: {site} has an activation at every position; give the network's task, which says where "
                    f"the answer is read, or name one: interp.Site({site.name!r}, pos=-1)"
                )
            values = activation_at_readout(values, axes, task)
            axes = tuple(axis for axis in axes if axis != "pos")
        if axes[:1] != ("batch",) or len(values) != len(inputs):
            raise InterpError(f"{subject.name}: {site} has axes {', '.join(axes)}, not one row per input")
        found[str(site)] = values.flatten(1)
    return found
