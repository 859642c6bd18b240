"""A transformer small enough to read, with TransformerLens's names, shapes and hook points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.hook_point import HookPoint
from interp.hooked.inputs import require_tokens, require_vocabulary
from interp.hooked.lens_weights import LensWeights
from interp.hooked.rest import NormedRest
from interp.hooked.token_embedding import Embed
from interp.hooked.transformer.attention import moved
from interp.hooked.transformer.components import Block, PosEmbed, Unembed
from interp.hooked.transformer.config import TransformerConfig
from interp.hooked.transformer.fused import UnhookedBlocks
from interp.hooked.transformer.layer_norm import LayerNorm, make_norm
from interp.hooked.transformer.next_token import LogitsAndLoss, check_returns, next_token_loss
from interp.hooked.transformer.stacks import weight_named
from interp.hooked.transformer.token_tables import TokenTables, applies


class HookedTransformer(LensWeights, HookedModel):
    """Tokens ``[batch, pos]`` to logits ``[batch, pos, d_vocab_out]`` (one position with ``config.readout``).

    Hook points and weights carry the names and shapes of TransformerLens's former HookedTransformer:
    ``W_E [d_vocab, d_model]``, ``W_Q [layer, head, d_model, d_head]``, ``W_in [layer, d_model, d_mlp]``, ...

    ``forward(tokens, noise)``: ``noise`` is the key of this pass's dropout (`dropout.uniform`); without it, and in
    `resume`, nothing drops out. With a readout, other entries of the last block drop out than without. ``return_type`` and
    ``stop_at_layer`` are TransformerLens's.

    Args:
        config: the model's shape.
    """

    config_class = TransformerConfig
    config: TransformerConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        self.embed = Embed(config.d_vocab, config.d_model)
        self.hook_embed = HookPoint("batch", "pos", "unit")
        if config.positions:
            self.pos_embed = PosEmbed(config)
            self.hook_pos_embed = HookPoint("batch", "pos", "unit")
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.ln_final = make_norm(config) if config.final_norm else nn.Identity()
        self.unembed = Unembed(config)
        self.hook_logits = HookPoint("batch", "pos", "unit")
        self.setup()

    @override
    def check_inputs(self, inputs: Any) -> None:
        require_tokens(inputs, "[batch, pos]")

    @override
    def check_values(self, inputs: Any) -> None:
        self.check_inputs(inputs)
        require_vocabulary(inputs, self.config.d_vocab)

    @override
    def forward(
        self,
        tokens: Tensor,
        noise: Tensor | None = None,
        *,
        return_type: str | None = "logits",
        stop_at_layer: int | None = None,
        loss_per_token: bool = False,
    ) -> Any:
        """Logits ``[batch, pos, d_vocab_out]`` of ``tokens [batch, pos]``.

        Args:
            tokens: ``[batch, pos]``.
            noise: the key of a pass with dropout.
            return_type: ``"logits"``; ``"loss"``: the mean cross-entropy of the next token; ``"both"``; or None for nothing.
            stop_at_layer: return the stream before this layer ``[batch, pos, d_model]`` instead; -1 is the last layer.
            loss_per_token: the loss of every position ``[batch, pos - 1]`` instead of the mean.

        Returns:
            what ``return_type`` says.

        Raises:
            InterpError: too many positions, or something that the model cannot return.
        """
        self.check_inputs(tokens)
        if tokens.shape[-1] > self.config.n_ctx:
            raise InterpError(f"{tokens.shape[-1]} positions given; the model's context is {self.config.n_ctx}")
        embedded = self.hook_embed(self.embed(tokens))
        if return_type == "logits" and stop_at_layer is None:
            return self._after_embed(embedded, noise)
        check_returns(self.config, return_type, stop_at_layer)
        if stop_at_layer is not None:
            return self._after_embed(embedded, noise, stop_at_layer)
        logits = self._after_embed(embedded, noise)
        if return_type is None:
            return None
        loss = next_token_loss(logits, tokens, loss_per_token)
        return loss if return_type == "loss" else LogitsAndLoss(logits, loss)

    def _after_embed(self, embedded: Tensor, noise: Tensor | None = None, stop: int | None = None) -> Tensor:
        if self.config.positions:
            embedded = embedded + self.hook_pos_embed(self.pos_embed(*embedded.shape[:2]))
        return self._from_block(embedded, 0, noise, stop)

    @override
    def for_all(self, inputs: Any, *, coarse: bool = False) -> Callable[[Any], Tensor]:
        own = type(self) is HookedTransformer  # a class derived from it may compute something else
        return TokenTables(self, inputs.shape[1]) if own and applies(self, inputs, coarse) else self

    def stream(self, tokens: Tensor) -> Tensor:
        """What the first block reads ``[batch, pos, d_model]``; its hook points are skipped."""
        embedded = self.embed(tokens)
        return embedded + self.pos_embed(*tokens.shape) if self.config.positions else embedded

    def _from_block(self, resid: Tensor, first: int, noise: Tensor | None = None, stop: int | None = None) -> Tensor:
        for layer in range(first, self.config.n_layers)[:stop]:
            resid = self.blocks[layer](resid, self._readout(layer), noise)
        if stop is not None:
            return resid
        return self.hook_logits(self.unembed(self.ln_final(resid)))

    def _readout(self, layer: int) -> int | None:
        return self.config.readout if layer == self.config.n_layers - 1 else None

    def read_at(self, position: int | None) -> HookedTransformer:
        """The same model (weights are shared, not copied), whose last block computes only ``position``; None: every one."""
        with torch.device("meta"):
            reader = HookedTransformer(replace(self.config, readout=position))
        reader.load_state_dict(self.state_dict(keep_vars=True), strict=True, assign=True)
        return reader

    @override
    def everywhere(self) -> HookedTransformer:
        """The same model (weights are shared, not copied) without a ``readout``."""
        return self if self.config.readout is None else self.read_at(None)

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_embed`` or from ``blocks.i.hook_resid_pre``, ``_mid`` or ``_post``.

        Args:
            site: name of the hook point.
            activation: ``[batch, pos, d_model]``; after the last block's attention it may hold fewer positions.

        Returns:
            logits ``[batch, pos, d_vocab_out]``.

        Raises:
            UnknownSite: another site.
        """
        if site == "hook_embed":
            return self._after_embed(activation)
        layer, point = self._place(site)
        if layer is not None:
            block = self.block(layer)
            if point == "hook_resid_pre":
                return self._from_block(block.after_pre(activation, self._readout(layer)), layer + 1)
            if point == "hook_resid_mid" and block.has_mlp:
                return self._from_block(block.after_mid(activation), layer + 1)
            if point == "hook_resid_post":
                return self._from_block(block.after_post(activation), layer + 1)
        raise UnknownSite(
            f"cannot resume a transformer at {site!r}; it resumes at hook_embed and at "
            f"blocks.0..{len(self.blocks) - 1}.hook_resid_pre, hook_resid_mid (where there is an MLP), hook_resid_post"
        )

    def block(self, layer: int) -> Block:
        """The block of a layer."""
        block = self.blocks[layer]
        assert isinstance(block, Block)
        return block

    def _place(self, site: str) -> tuple[int | None, str]:
        """The layer of a site inside a block (None elsewhere), and the rest of its name."""
        parts = site.split(".", 2)
        if len(parts) == 3 and parts[0] == "blocks" and parts[1].isdigit() and int(parts[1]) < len(self.blocks):
            return int(parts[1]), parts[2]
        return None, site

    @override
    def follow(self, site: str, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        if not self.adds_up:
            return super().follow(site, clean)
        layer, point = self._place(site)
        index = -1 if layer is None else layer + ("resid_post" in point)
        readable = point in ("hook_resid_pre", "hook_resid_post") and 0 <= index < self.config.n_layers
        first = layer if point == "hook_resid_mid" else index if readable else None
        last = point == "hook_resid_mid" and layer == self.config.n_layers - 1 and self.dtype == torch.float64
        fused = (last or self.config.readout is None) and not torch.is_grad_enabled()
        if first is not None and fused and not self._watched_from(first):
            return self._follow_unhooked(point, first, clean)
        if not readable or self._readout(index) is not None or self._reads_watched(index):
            return super().follow(site, clean)
        block = self.block(index).follow(clean)

        def outputs(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            mid = self.block(index).after_attn(block(part, moves, rows))
            return self._from_block(mid, index + 1).unflatten(0, moves.shape[:2])

        return outputs

    def _follow_unhooked(self, point: str, layer: int, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        rest = UnhookedBlocks(self, layer, clean.shape[-2])
        block = None if point == "hook_resid_mid" else self.block(layer).follow(clean)

        def outputs(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            mid = moved(clean[part], moves, rows).flatten(0, 1) if block is None else block(part, moves, rows)
            return rest.after_attention(layer, mid).unflatten(0, moves.shape[:2])

        return outputs

    @property
    def adds_up(self) -> bool:
        """Whether the residual stream is a plain sum, read through LayerNorms or none; the fast paths need this."""
        return not self.config.post_norm and self.config.normalization != "RMS"

    def _watched_from(self, layer: int) -> bool:
        """Whether a hook is installed in this layer or after it."""
        early = ("hook_embed", "hook_pos_embed", *(f"blocks.{i}." for i in range(layer)))
        return any(not name.startswith(early) for name in self.watched_sites())

    def _reads_watched(self, index: int) -> bool:
        """Whether a hook is installed where `follow` skips the hook points."""
        names = ("hook_resid_pre", "ln1.hook_scale", "ln1.hook_normalized")
        points = (self.hook_dict.get(f"blocks.{index}.{name}") for name in names)
        return any(isinstance(p, HookPoint) and p.watched for p in points)

    @override
    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Neurons, heads and layer outputs write into the residual stream after them, the stream's sites into themselves."""
        layer, point = self._place(site)
        if layer is None:
            if site == "hook_embed":
                return site, None
        else:
            block = self.block(layer)
            post = f"blocks.{layer}.hook_resid_post"
            after_attn = f"blocks.{layer}.hook_resid_mid" if block.has_mlp else post
            if point == "attn.hook_z":
                return after_attn, block.attn.W_O.flatten(0, 1)
            if point == "hook_attn_out":
                return after_attn, None
            if point == "mlp.hook_post" and block.has_mlp:
                return post, block.mlp.W_out
            if point == "hook_mlp_out" and block.has_mlp:
                return post, None
            if point in ("hook_resid_pre", "hook_resid_mid", "hook_resid_post") and site in self.hook_dict:
                return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive linearly at a site where a transformer can resume; use "
            "hook_z, hook_attn_out, hook_post, hook_mlp_out or the residual stream"
        )

    @override
    def reads(self, parameter: str) -> str | None:
        """The last block's MLP reads ``hook_resid_mid``, the unembedding ``hook_resid_post``, both only at the readout."""
        # earlier sites would have to be stored at all positions, so earlier parameters run the whole model again
        last = f"blocks.{self.config.n_layers - 1}"
        if parameter.startswith(("unembed.", "ln_final.")):
            return f"{last}.hook_resid_post"
        return f"{last}.hook_resid_mid" if parameter.startswith((f"{last}.mlp.", f"{last}.ln2.")) else None

    @override
    def linear_rest(self, site: str) -> Tensor | NormedRest | None:
        """After the last block ``W_U [d_model, d_vocab_out]``, preceded by a LayerNorm if there is one."""
        if site != f"blocks.{self.config.n_layers - 1}.hook_resid_post":
            return None
        norms = [self.block(self.config.n_layers - 1).last_norm] if self.config.post_norm else []
        norms = [norm for norm in (*norms, self.ln_final) if not isinstance(norm, nn.Identity)]
        if not norms:
            return self.W_U
        if len(norms) > 1 or not isinstance(norm := norms[0], LayerNorm):
            return None
        return NormedRest(norm.w[:, None] * self.W_U if norm.affine else self.W_U, norm.eps)

    @override
    def init_std(self, name: str, parameter: Tensor) -> float | None:
        matrix, shape = name.rsplit(".", 1)[-1], parameter.shape
        if not matrix.startswith("W_"):
            return None
        fan_in = shape[0] * shape[1] if matrix == "W_O" else shape[-1 if matrix in ("W_E", "W_pos") else -2]
        return 1 / math.sqrt(fan_in)  # not fan_in**-0.5, which may differ in the last bit

    @override
    def _weight(self, name: str) -> Tensor:
        return weight_named(self, name)
