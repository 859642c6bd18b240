"""Gradients at sites: how a score of the outputs changes with each activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from interp.activations.batches import model_for, placed, translated
from interp.activations.transform import transform_at
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import Inputs, as_inputs
from interp.sites import HasModel, Site, SitePattern, resolve_sites


def gradients(
    model: HookedModel | HasModel,
    inputs: Tensor | Inputs,
    score: Callable[[Tensor], Tensor],
    sites: SitePattern,
    *,
    replaced: Mapping[str, Tensor] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Activations at sites, and the gradient of a score with respect to each of them.

    Args:
        model: any hooked model, or a Subject.
        inputs: ``[batch, ...]``, all in one pass; several tensors as `capture` takes them.
        score: a function of the model's outputs; its sum is differentiated, so with one value per input each input gets
            its own gradient.
        sites: whole hook points, by name or glob, without a selection.
        replaced: activations that replace those of the pass, by hook point; the gradient is taken there.

    Returns:
        activations and gradients by hook point, of the same shapes; the gradient is 0 if the score does not depend on the
        site.

    Raises:
        UnknownSite: a site that the model lacks.
        InterpError: inputs that the model cannot run on; a site that selects a part, did not fire, or fired several times;
            a score without a gradient.

    >>> from interp import HookedMLP, MLPConfig
    >>> model = HookedMLP(MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    >>> _, found = gradients(model, torch.ones(5, 2), lambda out: out[:, 0], "layers.0.hook_post")
    >>> bool(torch.allclose(found["layers.0.hook_post"], model.W_U[:, 0].expand(5, 4)))
    True
    """
    inputs = as_inputs(inputs)
    model = model_for(model, inputs)
    if not callable(score):
        raise InterpError(f"score must be a function of the model's outputs, got {type(score).__name__}")
    resolved = resolve_sites(model, sites)
    partial = [str(s) for s in resolved if s != Site(s.name)]
    if partial:
        raise InterpError(f"gradients are taken at whole hook points; select from the result instead of {partial[0]}")
    replaced = replaced or {}
    kept: dict[str, list[Tensor]] = {s.name: [] for s in resolved}

    def keep(name: str) -> Callable[[Tensor], Tensor]:
        def transform(output: Tensor) -> Tensor:
            output = replaced.get(name, output)
            # a leaf if nothing before it is differentiated
            output = output if output.requires_grad else output.detach().requires_grad_()
            kept[name].append(output)
            return output.clone()  # so that a later module that works in place does not change what is kept

        return transform

    with transform_at(model, {name: keep(name) for name in kept}), torch.enable_grad():
        with translated(model, inputs):
            outputs = model(placed(inputs, model))
        for name, calls in kept.items():
            if len(calls) != 1:
                raise InterpError(f"hook point {name} fired {len(calls)} times; gradients need it to fire once")
        total = score(outputs).sum()
        if not total.requires_grad:
            raise InterpError("the score has no gradient: it does not depend on the sites, or is made of whole numbers")
        found = _differentiated(total, [calls[0] for calls in kept.values()])
    by_name = dict(zip(kept, found, strict=True))
    return (
        {n: calls[0].detach() for n, calls in kept.items()},
        {n: torch.zeros_like(kept[n][0]) if g is None else g for n, g in by_name.items()},
    )


def _differentiated(total: Tensor, acts: list[Tensor]) -> tuple[Tensor | None, ...]:
    try:
        return torch.autograd.grad(total, acts, allow_unused=True)
    except RuntimeError as error:
        if "inplace operation" not in str(error):
            raise
        raise InterpError(
            "the model changes in place an activation that its gradient needs; remove inplace=True from its modules "
            f"(torch says: {str(error).splitlines()[0]})"
        ) from None
