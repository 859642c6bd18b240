"""State dicts of TransformerLens's HookedTransformer (versions 1 to 3), and InterpBench's folders of one with its config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp._util.files import leads_out
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.reading import read
from interp.checkpoints.layouts.activations import stated_activation, with_entries_below
from interp.checkpoints.layouts.architectures import lacking
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights, unmapped_weights
from interp.errors import InterpError, UnreadableFile
from interp.hooked.transformer.config import TransformerConfig

BLOCK = re.compile(
    r"blocks\.(\d{1,6})\.(?:attn\.(?:W_[QKVO]|b_[QKVO])|mlp\.(?:W_in|W_out|W_gate|b_in|b_out|b_gate)|ln[12]\.[wb])$"
)
OUTER = re.compile(r"(?:embed\.W_E|pos_embed\.W_pos|unembed\.[Wb]_U|ln_final\.[wb])$")


class TransformerLensLayout(Layout):
    """Names and shapes of TransformerLens, https://github.com/TransformerLensOrg/TransformerLens."""

    name = "transformer_lens"
    summary = (
        "HookedTransformer state dicts of TransformerLens 1 to 3 (W_E [vocab, d_model], W_Q [head, d_model, d_head])"
    )
    options: ClassVar[Mapping[str, str]] = {
        "act_fn": "the MLP's activation, which a state dict does not state (relu unless a config does)",
        "causal": "whether attention is causal (true unless a config states otherwise)",
        "normalization": "LNPre where LayerNorm was folded into the weights, which leaves no trace in them",
        "post_norm": "whether the norms come after attention and MLP have been added (false)",
        "attn_scale": "attention scores are divided by it (the square root of d_head)",
    }

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        needed = ["embed.W_E", "pos_embed.W_pos", "unembed.W_U", "blocks.0.attn.W_Q", "blocks.0.attn.W_O"]
        missing = [n for n in needed if n not in weights]
        if missing:
            output = weights.get("blocks.0.attn.W_O")
            sure = 0.5 if output is not None and output.ndim != 3 else 1.0
            return Fit(False, sure * (1 - len(missing) / len(needed)), f"it also needs {', '.join(missing)}")
        for name in ("embed.W_E", "pos_embed.W_pos", "unembed.W_U", "blocks.0.mlp.W_in"):
            if name in weights and weights[name].ndim != 2:
                return Fit(False, 0.7, f"{name} is {list(weights[name].shape)}, expected a matrix")
        (_, d_model), q, o = (weights[n].shape for n in ("embed.W_E", "blocks.0.attn.W_Q", "blocks.0.attn.W_O"))
        if len(o) != 3 or len(q) != 3:
            return Fit(False, 0.8, f"W_O has {len(o)} axes; TransformerLens keeps [head, d_head, d_model]")
        heads, d_head = o[0], o[1]
        expected = {
            "blocks.0.attn.W_Q": (heads, d_model, d_head), "blocks.0.attn.W_O": (heads, d_head, d_model),
            "pos_embed.W_pos": (weights["pos_embed.W_pos"].shape[0], d_model),
            "unembed.W_U": (d_model, weights["unembed.W_U"].shape[-1]),
        }  # fmt: skip
        for name, shape in expected.items():
            if weights[name].shape != shape:
                return Fit(False, 0.9, f"{name} is {list(weights[name].shape)}, expected {list(shape)}")
        if problem := lacking(with_entries_below(info.config)):
            return Fit(False, 1.0, problem)
        return Fit(True, 1.0)

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        kept = {n: w for n, w in weights.items() if BLOCK.match(n) or OUTER.match(n)}
        given = {**info.config, **options}
        d_vocab, d_model = weights["embed.W_E"].shape
        n_heads, d_head, _ = weights["blocks.0.attn.W_O"].shape
        layers = 1 + max(int(m.group(1)) for n in kept if (m := BLOCK.match(n)))
        has_mlp = "blocks.0.mlp.W_in" in kept
        has_norm = "blocks.0.ln1.w" in kept
        kind = given.get("normalization", given.get("normalization_type"))
        if has_norm:
            kind = "LN" if "blocks.0.ln1.b" in kept else "RMS"
        notes = []
        act_fn = stated_activation(info.config, options)
        if has_mlp and act_fn is None:
            notes.append(
                "activation assumed to be ReLU, which a state dict does not state (--layout transformer_lens:act_fn=...)"
            )
        if not has_norm and "normalization" not in given and "normalization_type" not in given:
            notes.append(
                "no LayerNorm weights, so no LayerNorm is applied; if it was folded: "
                "--layout transformer_lens:normalization=LNPre"
            )
        config = TransformerConfig(
            n_layers=layers, d_model=d_model, n_heads=n_heads, d_head=d_head, d_vocab=d_vocab,
            d_vocab_out=weights["unembed.W_U"].shape[-1], n_ctx=weights["pos_embed.W_pos"].shape[0],
            d_mlp=weights["blocks.0.mlp.W_in"].shape[-1] if has_mlp else None,
            act_fn=act_fn if has_mlp and act_fn else "relu",
            normalization=kind,
            causal=given.get("causal", given.get("attention_dir", "causal") == "causal"),
            attn_bias="blocks.0.attn.b_Q" in kept, mlp_bias="blocks.0.mlp.b_in" in kept,
            unembed_bias="unembed.b_U" in kept, ln_eps=float(given.get("eps", 1e-5)),
            post_norm=options.get("post_norm", False), final_norm=not has_norm or "ln_final.w" in kept,
            gated_mlp="blocks.0.mlp.W_gate" in kept, attn_scale=options.get("attn_scale", _stated_scale(info.config)),
        )  # fmt: skip
        extra = tuple(n for n in weights if n not in kept)
        loaded = {n: w.load() for n, w in kept.items()}
        if config.gated_mlp and config.mlp_bias:
            _add_gate_biases(loaded, layers)
        return Converted(config, loaded, extra, tuple(notes), warnings=unmapped_weights(extra))

    @override
    def weights_file(self, folder: Path) -> Path | None:
        """The weights of one of InterpBench's folders, https://huggingface.co/cybershiptrooper/InterpBench."""
        files = [path for path in folder.glob("ll_model*.pth") if path.is_file()]
        return files[0] if len(files) == 1 and _config_file(folder) is not None else None

    @override
    def config_beside(self, folder: Path) -> dict[str, Any]:
        """The fields of ``ll_model_cfg.pkl``, a pickled ``HookedTransformerConfig`` or its dict, read as data."""
        if (file := _config_file(folder)) is None:
            return {}
        tree = read(file).tree
        fields = tree.state if isinstance(tree, Stub) else tree
        if not isinstance(fields, Mapping):
            raise UnreadableFile(f"{file} does not hold the fields of a HookedTransformerConfig")
        return {str(name): value for name, value in fields.items()}


def _config_file(folder: Path) -> Path | None:
    files = [path for path in folder.glob("ll_model_cfg*.pkl") if path.is_file() and not leads_out(path)]
    return files[0] if len(files) == 1 else None


def _stated_scale(config: Mapping[str, Any]) -> float | None:
    """What a pickled config divides attention scores by, if that is not the square root of ``d_head``."""
    if config.get("use_attn_scale") is False:
        return 1.0
    scale = config.get("attn_scale")
    return float(scale) if isinstance(scale, (int, float)) and scale > 0 else None


def _add_gate_biases(loaded: dict[str, Tensor], layers: int) -> None:
    """TransformerLens adds ``b_in`` to the product of a gated MLP, not to what is multiplied; only zeros are the same."""
    for at in (f"blocks.{i}.mlp" for i in range(layers)):
        if f"{at}.b_gate" in loaded:
            continue
        if bool(loaded[f"{at}.b_in"].any()):
            raise InterpError(
                f"transformer_lens: {at}.b_in is added after the gate, which our MLP cannot do; "
                "open the model with TransformerLens's own bridge"
            )
        loaded[f"{at}.b_gate"] = torch.zeros_like(loaded[f"{at}.b_in"])


LAYOUT = TransformerLensLayout()
