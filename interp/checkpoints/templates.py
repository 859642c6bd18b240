"""Templates that a user fills in: a name map for a file, and a package with a layout of one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from interp.checkpoints.formats.tensors import TensorRef
from interp.checkpoints.layouts import layouts
from interp.checkpoints.source import open_source
from interp.errors import InterpError, UnknownName, unknown

# what a map may name on its left, by layout
NAMES: dict[str, tuple[str, ...]] = {
    "transformer_lens": (
        "embed.W_E [d_vocab, d_model]", "pos_embed.W_pos [n_ctx, d_model]",
        "blocks.{l}.attn.W_Q [head, d_model, d_head], likewise W_K, W_V", "blocks.{l}.attn.W_O [head, d_head, d_model]",
        "blocks.{l}.attn.b_Q [head, d_head], likewise b_K, b_V; b_O [d_model]",
        "blocks.{l}.mlp.W_in [d_model, d_mlp], b_in, W_out [d_mlp, d_model], b_out", "blocks.{l}.ln1.w, .b, ln2.w, .b",
        "ln_final.w, .b", "unembed.W_U [d_model, d_vocab_out], b_U",
    ),
    "linear_chain": ("NAME.weight [out, in]", "NAME.bias [out]"),
    "two_embeddings": ("W_x, W_y [n, embed]", "W [2*embed or embed, hidden]", "W_U [hidden, n]"),
}  # fmt: skip

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1"
dependencies = ["interp-suite"]

[project.entry-points."interp.layouts"]
{name} = "{name}:LAYOUT"

[tool.hatch.build.targets.wheel]
only-include = ["{name}.py"]
"""

MODULE = '''"""The layout {name}: which tensor of a file is which of a network's."""

from collections.abc import Mapping
from typing import Any

from interp import InterpError, MLPConfig
from interp.checkpoints.layouts import Converted, FileInfo, Fit, Layout, Weights

# The file's names, in its order. Delete those that the network does not need, and say below what the others are.
TENSORS: dict[str, tuple[int, ...]] = {tensors}
# our name -> the file's, here for an MLP; TransformerConfig, LSTMConfig and CPPNConfig have names of their own:
# print(list(dict(interp.HookedMLP(config).named_parameters())))
NAMES: dict[str, str] = {{
    # "layers.0.W": "...",    [in, out]; nn.Linear keeps [out, in]
    # "layers.0.b": "...",
    # "unembed.W_U": "...",
    # "unembed.b_U": "...",
}}


class {cls}(Layout):
    name = "{name}"
    summary = "one line for interp layout list"

    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        missing = [name for name in TENSORS if name not in weights]
        return Fit(not missing, 1 - len(missing) / max(len(TENSORS), 1), f"it also needs {{', '.join(missing[:4])}}")

    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        if not NAMES:
            raise InterpError("fill in NAMES in {name}.py")
        tensors = {{ours: weights[theirs].load() for ours, theirs in NAMES.items()}}
        tensors = {{name: t.T if t.ndim == 2 else t for name, t in tensors.items()}}  # from nn.Linear's [out, in]
        hidden = tuple(t.shape[1] for name, t in tensors.items() if name.startswith("layers.") and t.ndim == 2)
        first, last = next(iter(tensors.values())), tensors["unembed.W_U"]
        config = MLPConfig(hidden, last.shape[1], d_in=first.shape[0], unembed_bias="unembed.b_U" in tensors)
        extra = tuple(name for name in weights if name not in NAMES.values())
        return Converted(config, tensors, extra, notes=("what the file does not say and you assumed",))


LAYOUT = {cls}()
'''


def name_map(source: str | Path, to: str, key: str | None = None) -> str:
    """A name map for a file, with its tensors as comments.

    Args:
        source: the checkpoint.
        to: the layout whose names stand on the left.
        key: where the weights are inside the file.

    Returns:
        The text of a TOML file.

    Raises:
        UnknownName: no such layout.
        InterpError: the file cannot be read.
    """
    if to not in layouts():
        raise UnknownName(unknown("layout", to, layouts()))
    weights = _weights(source, key)
    lines = [
        f"# A name map for {Path(source).name}: our names on the left, the file's on the right.",
        f"# Then: interp analyze {quote(str(source))} --layout map.toml",
        f"layout = {json.dumps(to)}",
        "",
        "[options]  # of the layout, as interp layout list names them",
        *(f"# {name} = ...  # {meaning}" for name, meaning in layouts()[to].options.items()),
        "",
        "[config]  # what the weights do not say",
        "",
        "[names]",
        f"# names of {to}:",
        *(f"#   {line}" for line in NAMES.get(to, ("see its documentation",))),
        "# {l} stands for any number. Other axes are arranged as einops writes it:",
        '# "blocks.{l}.attn.W_Q" = { from = "layers.{l}.q.weight", as = "(h k) d -> h d k", h = 4 }',
        "# Tensors of a number that the left side lacks are stacked on a new first axis:",
        '# "blocks.{l}.attn.W_Q" = { from = "layers.{l}.heads.{h}.q.weight", as = "h k d -> h d k" }',
        "# tensors of the file:",
        *(f'# "..." = {json.dumps(name)}  # {list(t.shape)}' for name, t in weights.items()),
    ]
    return "\n".join(lines)


def new_layout(name: str, folder: Path, like: Path | None, key: str | None = None, *, force: bool = False) -> list[str]:
    """Write a package with a layout to be filled in.

    Args:
        name: of the layout, the module and the entry point.
        folder: to write.
        like: a checkpoint of the kind that it is for, whose tensors are written into it.
        key: where the weights are inside that file.
        force: overwrite files of an earlier call.

    Returns:
        What to do next, a line each.

    Raises:
        InterpError: not a name for a module, or files that would be overwritten.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InterpError(
            f"{name!r} cannot name a layout: write small letters, digits and underscores, such as my_layout"
        )
    if name in layouts():
        raise InterpError(f"a layout {name} exists already; choose another name")
    tensors = {} if like is None else {n: t.shape for n, t in _weights(like, key).items()}
    listed = "{\n" + "".join(f"    {json.dumps(n)}: {tuple(s)!r},\n" for n, s in tensors.items()) + "}"
    texts = {
        "pyproject.toml": PROJECT.format(name=name, distribution=name.replace("_", "-")),
        f"{name}.py": MODULE.format(
            name=name, cls="".join(map(str.capitalize, name.split("_"))) + "Layout", tensors=listed
        ),
    }
    there = [folder / n for n in texts if (folder / n).exists()]
    if there and not force:
        raise InterpError(f"{there[0]} exists already; overwrite it with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InterpError(f"cannot write {folder}: {error.strerror}") from None
    target = quote(str(like or "FILE"))
    return [f"wrote {folder}/pyproject.toml and {folder}/{name}.py", f"next: fill in NAMES in {folder}/{name}.py, then",
            f"  pip install -e {quote(str(folder))}", f"  interp inspect {target}"]  # fmt: skip


def _weights(source: str | Path, key: str | None) -> Mapping[str, TensorRef]:
    opened = open_source(source, key)
    return opened.open(opened.entries[-1]).found.weights
