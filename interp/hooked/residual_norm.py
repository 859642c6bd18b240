"""What the final norm, or a layer's, makes of parts of the residual stream in a cache: direct logit attribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.errors import InterpError

NORMS = ("LN", "LNPre", "RMS", "RMSPre")
Part = int | tuple[int, ...] | Sequence[int] | slice | Tensor | None


class NormedStream:
    """Methods of a cache that scale parts of the residual stream as a norm scaled the whole of it."""

    model: Any
    has_batch_dim: bool

    if TYPE_CHECKING:

        def __getitem__(self, key: Any, /) -> Tensor: ...

        def __contains__(self, key: Any, /) -> bool: ...

    def logit_attrs(
        self, residual_stack: Tensor, tokens: int | Tensor, incorrect_tokens: int | Tensor | None = None,
        pos_slice: Part = None, batch_slice: Part = None, has_batch_dim: bool = True,
    ) -> Tensor:  # fmt: skip
        """Direct logit attribution: what each component of a stack adds to a token's logit, or to the difference of two.

        The final norm's weights are left out, as in TransformerLens; `circuits.logit_attribution` has them, and adds up to
        the logit.

        Args:
            residual_stack: as `decompose_resid` and the others give it, without ``apply_ln``.
            tokens: one, one per input ``[batch]``, or one per input and position ``[batch, pos]``.
            incorrect_tokens: subtract their logits; of the same shape.
            pos_slice: the positions that the stack has.
            batch_slice: which inputs.
            has_batch_dim: whether the stack has one.

        Returns:
            ``[component, batch, pos]``.

        Raises:
            InterpError: tokens of different shapes.
        """
        model, _ = self._place(None)
        directions = model.tokens_to_residual_directions(tokens)
        if incorrect_tokens is not None:
            if torch.as_tensor(tokens).shape != torch.as_tensor(incorrect_tokens).shape:
                raise InterpError("tokens and incorrect_tokens must have the same shape")
            directions = directions - model.tokens_to_residual_directions(incorrect_tokens)
        stack = self.apply_ln_to_stack(residual_stack, -1, False, pos_slice, batch_slice, has_batch_dim)
        per_input = has_batch_dim and not isinstance(batch_slice, int) and stack.ndim == 4 and directions.ndim == 2
        if per_input and len(directions) == stack.shape[1]:
            directions = directions.unsqueeze(-2)
        return (stack * directions.detach().to(stack)).sum(-1)

    def apply_ln_to_stack(
        self, residual_stack: Tensor, layer: int | None = None, mlp_input: bool = False, pos_slice: Part = None,
        batch_slice: Part = None, has_batch_dim: bool = True, recompute_ln: bool = False,
    ) -> Tensor:  # fmt: skip
        """A stack of components as a layer's norm would scale them: by the scale that the whole stream had.

        Args:
            residual_stack: ``[component, batch, pos, d_model]``.
            layer: whose norm; None and -1 for the final one.
            mlp_input: the norm before the layer's MLP instead of its attention.
            pos_slice: the positions that the stack has.
            batch_slice: which inputs of the stack to keep.
            has_batch_dim: whether the stack has one.
            recompute_ln: apply the final norm itself to each component, with its own scale (for the logit lens).

        Returns:
            the same shape; unchanged for a model without norms.
        """
        model, layer = self._place(layer)
        stack = taken(residual_stack, batch_slice, 1) if has_batch_dim else residual_stack
        final = layer == model.cfg.n_layers
        if model.cfg.normalization_type not in NORMS or (final and not getattr(model.cfg, "final_norm", True)):
            return stack
        if recompute_ln and final:
            return model.ln_final(stack.reshape(1, -1, stack.shape[-1])).reshape(stack.shape)
        if centres(model):
            stack = stack - stack.mean(-1, keepdim=True)
        scale = self._scale(layer, mlp_input, pos_slice)
        return stack / (taken(scale, batch_slice, 0) if self.has_batch_dim else scale)

    def _scale(self, layer: int, mlp_input: bool, pos_slice: Part) -> Tensor:
        final = layer == self.model.cfg.n_layers
        key = "ln_final.hook_scale" if final else f"blocks.{layer}.ln{2 if mlp_input else 1}.hook_scale"
        if key in self:
            return taken(self[key], pos_slice, -2)
        # an RMSNorm of a bridge shows none
        stream = self["resid_post", layer - 1] if final else self["resid_mid" if mlp_input else "resid_pre", layer]
        return taken(scale_of(stream, centres(self.model), self.model.cfg.eps), pos_slice, -2)

    def _place(self, layer: int | None, adds_up: bool = False) -> tuple[Any, int]:
        """The model and the number of a layer, once it is known that the model has a residual stream."""
        if self.model is None:
            raise InterpError("this cache does not know its model: model.run_with_cache(inputs) makes one that does")
        if not all(hasattr(self.model.cfg, name) for name in ("n_layers", "n_heads", "normalization_type")):
            raise InterpError(f"a {type(self.model).__name__} has no residual stream of layers with heads")
        if adds_up and getattr(self.model.cfg, "post_norm", False):
            raise InterpError(
                "norms stand in the residual stream (post_norm), so it is not the sum of what was written"
            )
        n_layers: int = self.model.cfg.n_layers
        place = n_layers if layer is None or layer == -1 else layer
        if not 0 <= place <= n_layers:
            raise InterpError(f"layer must be from 0 to {n_layers}, or -1, got {layer}")
        return self.model, place


def scale_of(stream: Tensor, centred: bool, eps: float) -> Tensor:
    """What a norm divides a stream by ``[..., 1]``."""
    stream = stream - stream.mean(-1, keepdim=True) if centred else stream
    return (stream.square().mean(-1, keepdim=True) + eps).sqrt()


def centres(model: Any) -> bool:
    """Whether the model's norms subtract the mean."""
    return model.cfg.normalization_type in ("LN", "LNPre")


def taken(tensor: Tensor, part: Any, dim: int) -> Tensor:
    """A part of an axis, chosen as in TransformerLens.

    Args:
        tensor: any.
        part: an index, which drops the axis; ``(end,)``, ``(start, end)`` or ``(start, end, step)``; a list or tensor of
            indices; a slice; None for all.
        dim: the axis.

    Returns:
        the part.

    >>> [taken(torch.arange(5), part, 0).tolist() for part in ((1, 4), [0, 2], 3)]
    [[1, 2, 3], [0, 2], 3]
    """
    if part is None:
        return tensor
    if isinstance(part, tuple):
        part = slice(*part)
    elif not isinstance(part, (int, slice)):
        part = torch.as_tensor(part, device=tensor.device)
    return tensor[(slice(None),) * (dim % tensor.ndim) + (part,)]
