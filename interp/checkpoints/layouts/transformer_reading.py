"""From the tensors of a transformer, each in its place, to our config and weights."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.checkpoints.layouts.base import Weights
from interp.checkpoints.layouts.block_attention import read_attention
from interp.checkpoints.layouts.block_mlp import read_mlp, read_norm
from interp.checkpoints.layouts.block_names import ROTARY, Module, NoFit
from interp.checkpoints.layouts.found_transformer import Found
from interp.checkpoints.layouts.masks import is_causal, sinusoids
from interp.checkpoints.layouts.unstated import CONTEXT, KIND, Unstated
from interp.checkpoints.layouts.unstated import ROTARY as ROTARY_SETTINGS
from interp.errors import InterpError
from interp.hooked.transformer.config import TransformerConfig

ANY_LENGTH = 1024  # positions of a model without a table of positions, which takes any number


@dataclass(frozen=True)
class Defaults:
    """What a family of layouts assumes where nothing states it.

    Attributes:
        act_fn: the MLP's activation.
        norm_first: whether the norms come before attention and MLP.
        causal: whether attention is causal.
    """

    act_fn: str
    norm_first: bool
    causal: bool


class TransformerReading:
    """One file on its way to our config and weights.

    Args:
        weights: the tensors by name.
        found: where each stands.
        unstated: answers to what they leave open.
        defaults: where there is no answer.
    """

    def __init__(self, weights: Weights, found: Found, unstated: Unstated, defaults: Defaults):
        self.weights, self.found, self.unstated, self.defaults = weights, found, unstated, defaults
        self.notes: list[str] = []
        self.warnings: list[str] = []  # where another reading is as likely
        self.orientation = unstated.choice("orientation", ("out_in", "in_out"))

    def config(self) -> TransformerConfig:
        """Our config; what weights leave open is taken from elsewhere."""
        found, ask = self.found, self.unstated
        outer, attention, mlp = found.outer, found.attention, found.mlp
        heads = ask.heads(attention.inner, attention.heads)
        kind = self._normalization()
        table = outer.position
        vocabulary = outer.token.shape[0 if outer.vocabulary_first else 1]
        positions = self._positions()
        size = outer.output.shape if outer.output is not None else (vocabulary, outer.d_model)
        return TransformerConfig(
            n_layers=len(found.skeleton.blocks), d_model=outer.d_model, n_heads=heads, d_head=attention.inner // heads,
            d_vocab=vocabulary, d_vocab_out=size[0] if size[1] == outer.d_model else size[1],
            n_ctx=self._context() if table is None else len(self._rows(math.prod(table.shape) // outer.d_model)),
            d_mlp=None if mlp is None else mlp.width,
            act_fn="relu" if mlp is None else ask.activation(self.defaults.act_fn),
            normalization=kind, causal=self._causal(), attn_bias=self._any_bias(*attention.inputs, *attention.output)
            or attention.shared_bias is not None,
            mlp_bias=mlp is not None and self._any_bias(mlp.into, mlp.out_of, *([mlp.gate] if mlp.gate else [])),
            unembed_bias=outer.output is not None and outer.output.bias is not None,
            ln_eps=1e-5 if kind is None else ask.eps(1e-6 if kind == "RMS" else 1e-5),
            post_norm=bool(found.norms) and not ask.norm_first(self.defaults.norm_first),
            final_norm=outer.norm is not None or kind is None, gated_mlp=mlp is not None and mlp.gated,
            positions=positions, attn_scale=self._scale(),
        )  # fmt: skip

    def _scale(self) -> float | None:
        """What scores are divided by; None for the square root of ``d_head``."""
        unscaled = self.unstated.stated(("scale_attn_weights",), bool) is False
        implied = self.unstated.implied.get("attn_scale")
        return self.unstated.number("attn_scale") or implied or (1.0 if unscaled else None)

    def _rows(self, held: int) -> range:
        """Which rows of a table of positions are used."""
        implied = self.unstated.implied
        return range(held)[implied.get("offset", 0) :][: implied.get("most_positions", held)]

    @staticmethod
    def _any_bias(*modules: Module) -> bool:
        return any(m.bias is not None for m in modules)

    def _normalization(self) -> Any:
        found, ask = self.found, self.unstated
        norms = [*found.norms, *([found.outer.norm] if found.outer.norm else [])]
        given = ask.choice("normalization", ("LN", "RMS"))
        if not norms:
            return None
        if found.outer.norm is not None and not found.norms:
            raise InterpError(
                f"layout {self.unstated.layout.name}: {found.outer.norm.name} is a norm after the blocks, which have none; our "
                "transformer has both or neither: open it with interp.wrap and your class"
            )
        if any(m.bias for m in norms):
            return "LN"
        stated = str(ask.stated(KIND, str) or "").lower()
        names = " ".join(found.names).lower()
        if given or "rms" in stated or stated in ("ln", "layernorm", "layer_norm"):
            return given or ("RMS" if "rms" in stated else "LN")
        if "rms" in names:
            return "RMS"
        if found.mlp is not None and found.mlp.gated:
            return ask.assume("normalization", "RMS")
        if re.search(r"(?:^|[._ ])ln|layer_?norm", names):
            return ask.assume("normalization", "LN")
        raise ask.ask(f"norms without bias ({found.names[0]}) are RMSNorm (RMS) or LayerNorm (LN)", normalization="RMS")

    def _positions(self) -> bool:
        """Whether there is a table of positions, or one is made."""
        given = self.unstated.choice("positions", ("none", "sinusoidal"))
        if self.found.outer.position is not None:
            if given is not None:
                raise InterpError(
                    f"layout {self.unstated.layout.name}: positions={given}, but the file has {self.found.outer.position.weight}"
                )
            if self.found.outer.position.weight.endswith("pe"):
                self.notes.append(f"{self.found.outer.position.weight} is added to the embeddings as W_pos")
                if self._embed_scale() is None:
                    self.unstated.assume("embed_scale", 1)
            return True
        stated = self.unstated.config
        rotary = [k for k in ROTARY_SETTINGS if stated.get(k)]
        rotary += [f"{k}={v}" for k, v in stated.items() if "pos" in k and isinstance(v, str) and ROTARY.search(v)]
        if given is None and (rotary or (self.found.mlp is not None and self.found.mlp.gated)):
            why = f"its config states {rotary[0]}" if rotary else "networks with gated MLPs mostly have rotary ones"
            raise self.unstated.ask(
                f"the file has no table of positions, and {why}, which our transformer lacks: open such a network with "
                "interp.wrap, or with a bridge of TransformerLens; if it has none, or sinusoids",
                positions="none",
            )
        if given is None:
            self.unstated.assume("positions", "none")
            self.warnings.append(
                "the file has no table of positions, so none are added; if your code makes them, sinusoids are read with "
                f"{self.unstated.spec(positions='sinusoidal')}, and rotary ones only with interp.wrap and your class"
            )
        return given == "sinusoidal"

    def _context(self) -> int:
        masks = [t.shape[-1] for n, t in self.weights.items() if n in self.found.skeleton.buffers and t.ndim > 1]
        return (
            self.unstated.number("n_ctx", True) or self.unstated.stated(CONTEXT, int) or next(iter(masks), ANY_LENGTH)
        )

    def _causal(self) -> bool:
        """From the mask in the file, if it has one."""
        masks = [self.weights[n].load() for n in self.found.skeleton.buffers if self.weights[n].ndim > 1]
        seen = {is_causal(mask) for mask in masks} - {None}
        if len(seen) == 1 and "causal" not in self.unstated.options:
            return bool(seen.pop())
        return self.unstated.causal(self.defaults.causal)

    def weights_of(self, config: TransformerConfig) -> dict[str, Tensor]:
        """All tensors by our names."""
        found, outer = self.found, self.found.outer
        converted = {"embed.W_E": self._table()}
        if config.positions:
            converted["pos_embed.W_pos"] = self._position_table(config)
        for i, block in enumerate(found.skeleton.blocks):
            for name, tensor in self._block(block, config).items():
                converted[f"blocks.{i}.{name}"] = tensor
        if outer.norm is not None:
            norm = read_norm(outer.norm, lambda n: self.weights[n].load(), config.normalization == "LN")
            converted |= {f"ln_final.{k}": t for k, t in norm.items()}
        if outer.output is None:
            self.notes.append(f"no output layer in the file, so {outer.token.weight} is it too (tied)")
            table = self.weights[outer.token.weight].load()
            converted["unembed.W_U"] = table.T if outer.vocabulary_first else table
        else:
            weight = self.weights[outer.output.weight].load()
            converted["unembed.W_U"] = self._oriented(outer.output, weight, config.d_model, config.d_vocab_out)
            if outer.output.bias is not None:
                converted["unembed.b_U"] = self.weights[outer.output.bias].load()
        return self._of_one_dtype(converted)

    def _of_one_dtype(self, converted: dict[str, Tensor]) -> dict[str, Tensor]:
        dtypes = {t.dtype for t in converted.values()}
        if len(dtypes) == 1:
            return converted
        widest = functools.reduce(torch.promote_types, dtypes)
        named = ", ".join(sorted(str(t).removeprefix("torch.") for t in dtypes))
        self.notes.append(f"weights of several dtypes ({named}) were all made {str(widest).removeprefix('torch.')}")
        return {name: t.to(widest) for name, t in converted.items()}

    def _table(self) -> Tensor:
        outer, scale = self.found.outer, self._embed_scale()
        table = self.weights[outer.token.weight].load()
        table = table if outer.vocabulary_first else table.T
        if scale is None:
            return table
        return table * (math.sqrt(outer.d_model) if scale == "sqrt" else self.unstated.number("embed_scale"))

    def _embed_scale(self) -> Any:
        """As the user says, or as a published architecture has it; None where embeddings are not scaled."""
        return self.unstated.options.get("embed_scale", self.unstated.implied.get("embed_scale"))

    def _position_table(self, config: TransformerConfig) -> Tensor:
        table = self.found.outer.position
        if table is not None:
            whole = self.weights[table.weight].load().reshape(-1, config.d_model)
            rows = self._rows(len(whole))
            return whole[rows.start : rows.stop]
        return sinusoids(config.n_ctx, config.d_model).to(self.weights[self.found.outer.token.weight].dtype)

    def _block(self, block: Mapping[str, str], config: TransformerConfig) -> dict[str, Tensor]:
        found, ask = self.found, self.unstated

        def load(name: str) -> Tensor:
            return self.weights[block[name]].load()

        converted = read_attention(found.attention, config.n_heads, load, self._oriented, self._head_major(config))
        named = {f"attn.{k}": t for k, t in converted.items()}
        if found.mlp is not None:
            gate = ask.choice("gate", ("first", "second"))
            if found.mlp.fused_gate and gate is None:
                raise ask.ask(
                    f"{found.mlp.into.name} holds the MLP's input and its gate: which half is the gate", gate="second"
                )
            named |= {
                f"mlp.{k}": t
                for k, t in read_mlp(found.mlp, config.d_model, load, self._oriented, gate == "first").items()
            }
        for number, norm in enumerate(found.norms, start=1):
            named |= {f"ln{number}.{k}": t for k, t in read_norm(norm, load, config.normalization == "LN").items()}
        return named

    def _head_major(self, config: TransformerConfig) -> bool:
        fused = self.found.attention.fused
        given = self.unstated.choice("qkv", ("parts", "heads")) or self.unstated.implied.get("qkv")
        if fused is None or config.n_heads == 1 or fused.label in ("in_proj", "c_attn"):
            return given == "heads"
        if given is None and fused.label == "qkv_proj":
            raise self.unstated.ask(
                f"rows of {fused.name} are all queries, then keys, then values (qkv=parts), or each head's together "
                "(qkv=heads)", qkv="parts",
            )  # fmt: skip
        if given is None:
            self.unstated.assume("qkv", "parts")
        return given == "heads"

    def _oriented(self, module: Module, weight: Tensor, d_in: int, d_out: int) -> Tensor:
        """A matrix as [in, out]: by its shape; if it is square, as its module or the others of the block are kept."""
        if weight.ndim != 2 or sorted(weight.shape) != sorted((d_in, d_out)):
            raise NoFit(f"{module.name} is {list(weight.shape)}, expected {d_in} by {d_out}")
        if d_in != d_out:
            return weight if tuple(weight.shape) == (d_in, d_out) else weight.T
        stored = self.orientation or self._evidence(module.torch_module) or ("out_in" if module.torch_module else None)
        if stored is None:
            raise self.unstated.ask(
                f"{module.name} is square and no module's, so it may multiply from the left (out_in) or the right (in_out)",
                orientation="in_out",
            )
        return weight.T if stored == "out_in" else weight

    def _evidence(self, of_torch: bool) -> str | None:
        """How the block's matrices of the same kind are kept that are not square, if they agree."""
        found, d = self.found, self.found.outer.d_model
        into = [*found.attention.inputs, *([m for m in (found.mlp.into, found.mlp.gate) if m] if found.mlp else [])]
        out_of = [*found.attention.output, *([found.mlp.out_of] if found.mlp else [])]
        seen = {("in_out", "out_in")[m.shape[1] == d] for m in into if self._tells(m, of_torch)}
        seen |= {("in_out", "out_in")[m.shape[0] == d] for m in out_of if self._tells(m, of_torch)}
        return seen.pop() if len(seen) == 1 else None

    @staticmethod
    def _tells(module: Module, of_torch: bool) -> bool:
        return len(module.shape) == 2 and module.shape[0] != module.shape[1] and module.torch_module == of_torch
