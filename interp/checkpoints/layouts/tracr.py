"""Models that Tracr compiles from RASP programs: haiku parameters, pickled or as npz."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.errors import AmbiguousLayout, InterpError
from interp.hooked.transformer.config import TransformerConfig

BLOCK = re.compile(
    r"transformer/layer_(\d{1,6})/(attn/query|attn/key|attn/value|attn/linear|mlp/linear_1|mlp/linear_2)[/_](w|b)$"
)
OUTER = re.compile(r"(token_embed|pos_embed)[/_]embeddings$")
RANGE = re.compile(r"(\d{1,6})-(\d{1,6})$")


class TracrLayout(Layout):
    """``AssembledTransformerModel.params`` of https://github.com/google-deepmind/tracr (Lindner et al. 2023).

    A file has neither the number of heads nor the unembedding, which is a constant of Tracr's code that reads the output
    variable's dimensions of the residual stream.
    """

    name = "tracr"
    summary = "haiku parameters of a model compiled by Tracr (token_embed/embeddings, transformer/layer_0/attn/query/w)"
    options: ClassVar[Mapping[str, str]] = {
        "n_heads": "attention heads in each layer: model_config.num_heads, which the parameters do not state",
        "outputs": "dimensions of the residual stream that are the output, such as 12-15 (see residual_labels); all by default",
        "causal": "whether the program was compiled with causal=True (false)",
    }

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        names = set(_named(weights))
        needed = [
            "token_embed",
            "pos_embed",
            "0.attn/query.w",
            "0.attn/linear.w",
            "0.mlp/linear_1.w",
            "0.mlp/linear_2.w",
        ]
        missing = [name for name in needed if name not in names]
        if missing:
            return Fit(False, 0.9 * (1 - len(missing) / len(needed)), f"it also needs {', '.join(missing)}")
        if any("layer_norm" in name for name in weights):
            return Fit(False, 0.9, "it has LayerNorms, which a compiled model has not")
        width = weights[_named(weights)["0.attn/query.w"]].shape[-1]
        stated = "num_heads" in info.config or width == 1
        return Fit(True, 1.0, question="" if stated else _heads_question(width))

    @override
    def fits_by_hand(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Fit:
        fit = self.matches(weights, info)
        return Fit(fit.ok, fit.score, fit.reason) if "n_heads" in options else fit

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        named = _named(weights)
        loaded = {name: weights[stored].load() for name, stored in named.items()}
        d_vocab, d_model = loaded["token_embed"].shape
        width = loaded["0.attn/query.w"].shape[1]
        n_heads = self._n_heads(width, {**info.config, **options})
        layers = 1 + max(int(name.split(".")[0]) for name in named if name[0].isdigit())
        first, last = self._outputs(d_model, options)
        notes = [] if "outputs" in options else [
            "the logits are the residual stream itself: the parameters do not say which dimensions are the output "
            "(--layout tracr:outputs=FIRST-LAST, as residual_labels lists them)"
        ]  # fmt: skip
        config = TransformerConfig(
            n_layers=layers, d_model=d_model, n_heads=n_heads, d_head=width // n_heads, d_vocab=d_vocab,
            d_vocab_out=last + 1 - first, n_ctx=len(loaded["pos_embed"]), d_mlp=loaded["0.mlp/linear_1.w"].shape[1],
            causal=bool(options.get("causal", info.config.get("causal", False))), attn_bias=True,
        )  # fmt: skip
        ours = {
            "embed.W_E": loaded["token_embed"], "pos_embed.W_pos": loaded["pos_embed"],
            "unembed.W_U": torch.eye(d_model, dtype=loaded["token_embed"].dtype)[:, first : last + 1].clone(),
        }  # fmt: skip
        for layer in range(layers):
            ours |= _block(loaded, layer, n_heads)
        extra = tuple(name for name in weights if name not in named.values())
        return Converted(config, ours, extra, tuple(notes))

    def _n_heads(self, width: int, given: Mapping[str, Any]) -> int:
        n_heads = given.get("n_heads", given.get("num_heads", 1 if width == 1 else None))
        if n_heads is None:
            raise AmbiguousLayout(f"tracr: {_heads_question(width)}")
        if not isinstance(n_heads, int) or isinstance(n_heads, bool) or n_heads < 1 or width % n_heads:
            raise InterpError(
                f"layout tracr: n_heads must divide {width}, the columns of attn/query/w, got {n_heads!r}"
            )
        return n_heads

    def _outputs(self, d_model: int, options: Mapping[str, Any]) -> tuple[int, int]:
        given = str(options.get("outputs", f"0-{d_model - 1}"))
        found = RANGE.match(given)
        first, last = (int(found[1]), int(found[2])) if found else (1, 0)
        if not first <= last < d_model:
            raise InterpError(f"layout tracr: outputs must be FIRST-LAST within 0-{d_model - 1}, got {given!r}")
        return first, last


def _heads_question(width: int) -> str:
    return (
        f"n_heads must be given: the parameters do not say how many heads share the {width} columns of attn/query/w "
        "(--layout tracr:n_heads=N with model_config.num_heads)"
    )


def _named(weights: Weights) -> dict[str, str]:
    """Names of the file's tensors by short names: ``token_embed``, ``0.attn/query.w``."""
    found = {}
    for stored in weights:
        name = stored.replace("__", "/").replace(".", "/")
        if match := OUTER.search(name):
            found[match[1]] = stored
        elif match := BLOCK.search(name):
            found[f"{int(match[1])}.{match[2]}.{match[3]}"] = stored
    return found


def _block(loaded: Mapping[str, Tensor], layer: int, n_heads: int) -> dict[str, Tensor]:
    at, ours = f"blocks.{layer}", {}

    def bias(name: str, like: Tensor) -> Tensor:
        return loaded.get(f"{layer}.{name}.b", like.new_zeros(like.shape[1]))

    for name, letter in (("query", "Q"), ("key", "K"), ("value", "V")):
        matrix = loaded[f"{layer}.attn/{name}.w"]
        ours[f"{at}.attn.W_{letter}"] = matrix.unflatten(1, (n_heads, -1)).transpose(0, 1)
        ours[f"{at}.attn.b_{letter}"] = bias(f"attn/{name}", matrix).unflatten(0, (n_heads, -1))
    linear = loaded[f"{layer}.attn/linear.w"]
    ours[f"{at}.attn.W_O"] = linear.unflatten(0, (n_heads, -1))
    ours[f"{at}.attn.b_O"] = bias("attn/linear", linear)
    for name, letter in (("linear_1", "in"), ("linear_2", "out")):
        matrix = loaded[f"{layer}.mlp/{name}.w"]
        ours[f"{at}.mlp.W_{letter}"], ours[f"{at}.mlp.b_{letter}"] = matrix, bias(f"mlp/{name}", matrix)
    return ours


LAYOUT = TracrLayout()
