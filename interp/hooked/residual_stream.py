"""The residual stream in a cache: decomposed, accumulated, read by the final norm; TransformerLens's methods and numbers."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.hooked.residual_norm import NORMS, NormedStream, Part, centres, taken


class ResidualStream(NormedStream):
    """Methods of a cache on what its model's components wrote into the residual stream.

    Stacks have the components first: ``[component, batch, pos, d_model]``; with ``return_labels`` the names of the components
    come with them. ``layer`` means the stream before that layer; None and -1 the stream that the unembedding reads. ``pos_slice``
    is a position, ``(start, end)``, or a list of positions. ``apply_ln`` divides by the scale that the norm there had for the
    whole stream (it is frozen), after centring for a LayerNorm; the norm's weights are left out, as in TransformerLens, whose
    models have them folded into what follows.
    """

    def decompose_resid(
        self, layer: int | None = None, mlp_input: bool = False, mode: Literal["all", "mlp", "attn"] = "all",
        apply_ln: bool = False, pos_slice: Part = None, incl_embeds: bool = True, return_labels: bool = False,
    ) -> Any:  # fmt: skip
        """What embeddings and each layer's attention and MLP wrote; their sum is the stream.

        Args:
            layer: see `ResidualStream`.
            mlp_input: the stream that the layer's MLP reads: with the layer's own attention.
            mode: which of the layers' outputs.
            apply_ln: as the norm of that place would scale them.
            pos_slice: which positions.
            incl_embeds: with the embeddings.
            return_labels: the stack, and names such as ``0_attn_out``.

        Returns:
            ``[component, batch, pos, d_model]``.

        Raises:
            InterpError: a model without a residual stream, or whose norms stand in it (post_norm).
        """
        model, layer = self._place(layer, adds_up=True)
        found = {n: self[f"hook_{n}"] for n in ("embed", "pos_embed") if incl_embeds and f"hook_{n}" in self}
        for i in range(layer):
            if mode != "mlp":
                found[f"{i}_attn_out"] = self["attn_out", i]
            if mode != "attn" and not model.cfg.attn_only:
                found[f"{i}_mlp_out"] = self["mlp_out", i]
        if mlp_input and mode != "mlp":
            found[f"{layer}_attn_out"] = self["attn_out", layer]
        stack = self._stacked([taken(x, pos_slice, -2) for x in found.values()], pos_slice)
        if apply_ln:
            stack = self.apply_ln_to_stack(stack, layer, mlp_input, pos_slice, has_batch_dim=self.has_batch_dim)
        return (stack, list(found)) if return_labels else stack

    def accumulated_resid(
        self, layer: int | None = None, incl_mid: bool = False, apply_ln: bool = False, pos_slice: Part = None,
        mlp_input: bool = False, return_labels: bool = False,
    ) -> Any:  # fmt: skip
        """The stream before each layer, and the final one: what the logit lens reads.

        Args:
            layer: see `ResidualStream`.
            incl_mid: between each layer's attention and MLP, too.
            apply_ln: the final norm of each of them, with its own scale and its weights; before another layer the frozen one.
            pos_slice: which positions.
            mlp_input: between the layer's own attention and MLP, too.
            return_labels: the stack, and names such as ``0_pre`` and ``final_post``.

        Returns:
            ``[place, batch, pos, d_model]``.

        Raises:
            InterpError: a model without a residual stream.
        """
        model, layer = self._place(layer)
        found = {}
        for i in range(layer + 1):
            if i == model.cfg.n_layers:
                found["final_post"] = self["resid_post", i - 1]
                continue
            found[f"{i}_pre"] = self["resid_pre", i]
            if (incl_mid and i < layer) or (mlp_input and i == layer):
                found[f"{i}_mid"] = self["resid_mid", i]
        stack = self._stacked([taken(x, pos_slice, -2) for x in found.values()], pos_slice)
        if apply_ln:
            stack = self.apply_ln_to_stack(
                stack,
                layer,
                mlp_input,
                pos_slice,
                has_batch_dim=self.has_batch_dim,
                recompute_ln=layer == model.cfg.n_layers,
            )
        return (stack, list(found)) if return_labels else stack

    def head_results(self, layer: int) -> Tensor:
        """What each head of a layer wrote ``[batch, pos, head, d_model]``, without the attention's bias."""
        model, _ = self._place(layer)
        z, weights = self["z", layer], model.W_O[layer].detach()
        return torch.einsum("...hd,hdm->...hm", z, weights.to(z))

    def stack_head_results(
        self, layer: int | None = -1, return_labels: bool = False, incl_remainder: bool = False, pos_slice: Part = None,
        apply_ln: bool = False,
    ) -> Any:  # fmt: skip
        """What each head of the layers before wrote.

        Args:
            layer: see `ResidualStream`.
            return_labels: the stack, and names such as ``L0H1``.
            incl_remainder: the rest of the stream as a last component, ``remainder``; with ``layer=0``, as in
                TransformerLens, it is the final stream, not the embeddings.
            pos_slice: which positions.
            apply_ln: as the norm of that place would scale them.

        Returns:
            ``[component, batch, pos, d_model]``.

        Raises:
            InterpError: a model without a residual stream, or whose norms stand in it (post_norm).
        """
        model, layer = self._place(layer, adds_up=True)
        found = [taken(self.head_results(i), pos_slice, -3).movedim(-2, 0) for i in range(layer)]
        labels = [f"L{i}H{h}" for i in range(layer) for h in range(model.cfg.n_heads)]
        return self._with_rest(found, labels, layer, False, pos_slice, incl_remainder, apply_ln, return_labels)

    def get_neuron_results(self, layer: int, neuron_slice: Part = None, pos_slice: Part = None) -> Tensor:
        """What each neuron of a layer wrote ``[batch, pos, neuron, d_model]``, without the MLP's bias.

        Args:
            layer: of the MLP.
            neuron_slice: which neurons.
            pos_slice: which positions.

        Returns:
            a product as large as it says: choose few neurons or positions.
        """
        model, _ = self._place(layer)
        post = taken(taken(self["post", layer], pos_slice, -2), neuron_slice, -1)
        return post[..., None] * taken(model.W_out[layer].detach(), neuron_slice, 0).to(post)

    def stack_neuron_results(
        self, layer: int | None = -1, pos_slice: Part = None, neuron_slice: Part = None, return_labels: bool = False,
        incl_remainder: bool = False, apply_ln: bool = False, project_output_onto: Tensor | None = None,
        mlp_input: bool = False,
    ) -> Any:  # fmt: skip
        """What each neuron of the layers before wrote.

        Args:
            layer: see `ResidualStream`.
            pos_slice: which positions.
            neuron_slice: which neurons of each layer.
            return_labels: the stack, and names such as ``L0N5``.
            incl_remainder: the rest of the stream as a last component, ``remainder``; with ``layer=0``, as in
                TransformerLens, it is the final stream, not the embeddings.
            apply_ln: as the norm of that place would scale them.
            project_output_onto: ``[d_model]`` or ``[d_model, out]``: only these coordinates are computed, and nothing of the
                size of all neurons times ``d_model``.
            mlp_input: up to what the layer's MLP reads.

        Returns:
            ``[component, batch, pos, d_model]``, or the projection in place of ``d_model``.

        Raises:
            InterpError: a model without MLPs, or whose norms stand in the residual stream (post_norm).
        """
        model, layer = self._place(layer, adds_up=True)
        if model.cfg.attn_only:
            raise InterpError("the model has no MLPs, so it has no neurons")
        chosen = [neuron_slice] if isinstance(neuron_slice, int) else neuron_slice
        numbers = taken(torch.arange(model.cfg.d_mlp), chosen, 0).tolist()
        labels = [f"L{i}N{n}" for i in range(layer) for n in numbers]
        if project_output_onto is None:
            found = [self.get_neuron_results(i, chosen, pos_slice).movedim(-2, 0) for i in range(layer)]
            return self._with_rest(found, labels, layer, mlp_input, pos_slice, incl_remainder, apply_ln, return_labels)
        onto = project_output_onto if project_output_onto.ndim == 2 else project_output_onto[:, None]
        found = []
        for i in range(layer):
            post = taken(taken(self["post", i], pos_slice, -2), chosen, -1)
            rows = taken(model.W_out[i].detach(), chosen, 0).to(post)
            rows = rows - rows.mean(-1, keepdim=True) if apply_ln and centres(model) else rows
            found.append((post[..., None] * (rows @ onto.to(post))).movedim(-2, 0))
        stack = torch.cat(found) if found else self._nothing(pos_slice) @ onto.to(self["hook_embed"])
        if apply_ln and found and model.cfg.normalization_type in NORMS:
            stack = stack / self._scale(layer, mlp_input, pos_slice)
        if incl_remainder:
            whole = taken(self["resid_mid", layer] if mlp_input else self["resid_post", layer - 1], pos_slice, -2)[None]
            if apply_ln:
                whole = self.apply_ln_to_stack(whole, layer, mlp_input, pos_slice, has_batch_dim=self.has_batch_dim)
            rest = whole @ onto.to(whole)
            stack = torch.cat([stack, rest - stack.sum(0)]) if found else rest
            labels.append("remainder")
        stack = stack if project_output_onto.ndim == 2 else stack.squeeze(-1)
        return (stack, labels) if return_labels else stack

    def _with_rest(
        self, found: list[Tensor], labels: list[str], layer: int, mlp_input: bool, pos_slice: Part, incl_remainder: bool,
        apply_ln: bool, return_labels: bool,
    ) -> Any:  # fmt: skip
        stack = torch.cat(found) if found else self._nothing(pos_slice)
        if incl_remainder:
            whole = self["resid_mid", layer] if mlp_input else self["resid_post", layer - 1]
            stack = torch.cat([stack, (taken(whole, pos_slice, -2) - stack.sum(0))[None]])
            labels = [*labels, "remainder"]
        if apply_ln:
            stack = self.apply_ln_to_stack(stack, layer, mlp_input, pos_slice, has_batch_dim=self.has_batch_dim)
        return (stack, labels) if return_labels else stack

    def _nothing(self, pos_slice: Part) -> Tensor:
        return taken(self["hook_embed"], pos_slice, -2)[None][:0]

    def _stacked(self, found: list[Tensor], pos_slice: Part) -> Tensor:
        if len({x.shape for x in found}) > 1:
            raise InterpError(
                "the layers have different positions: the model computes its last block at one position only (config.readout)"
            )
        return torch.stack(found) if found else self._nothing(pos_slice)
