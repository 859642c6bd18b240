"""From names to modules: the blocks of a transformer, what stands around them, and the buffers that are not weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from interp.checkpoints.layouts.base import Weights

MOST_DIGITS = 10  # of a number in a name
FEW = 4  # names that a message lists
HEADS = re.compile(r"heads?$|^attn_heads?$", re.IGNORECASE)  # a number after it counts heads, not blocks
BUFFER = re.compile(
    r"(?:^|[._])(?:tril|triu|mask|masked_bias|causal_mask|attn_mask|src_mask|tgt_mask|ignore|position_ids|pos_ids|"
    r"num_batches_tracked)$",
    re.IGNORECASE,
)
ROTARY = re.compile(
    r"rotary|rope|inv_freq|freqs_cis|cos_cached|sin_cached|alibi|relative_(?:pos|attention)", re.IGNORECASE
)
QUERY, KEY, VALUE = (
    re.compile(
        rf"(?:w|to|attn|fc|lin|linear|proj|head)?_?{word}(?:_?(?:proj|projection|lin|linear|layer|w|weights?|mat|matrix|net|"
        r"fc|transform|head|map))?"
    )
    for word in ("(?:q|query|queries)", "(?:k|keys?)", "(?:v|vals?|values?)")
)
FUSED = re.compile(
    r"in_proj|c_attn|(?:w|to|attn|lin|linear|proj|fc)?_?qkv(?:_?(?:proj|projection|lin|linear|layer|net|fc|w|weights?|mat))?"
)
NORM_PARTS = {"gamma": "w", "beta": "b", "g": "w", "scale": "w", "offset": "b", "w": "w", "b": "b"}


class NoFit(Exception):
    """Why tensors are not a transformer that we can read; a layout turns it into the reason of its `Fit`."""


@dataclass(frozen=True)
class Module:
    """A weight and its bias.

    Attributes:
        name: what they share, with dots.
        weight: the tensor's name; it is relative in a block.
        bias: the same; None without one.
        shape: of the weight.
        torch_module: whether it is stored as torch's modules store it, so that a Linear is [out, in].
        bias_shape: of the bias; empty without one.
    """

    name: str
    weight: str
    bias: str | None
    shape: tuple[int, ...]
    torch_module: bool
    bias_shape: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The last part of the name that is not a number, in lower case."""
        return next((p for p in reversed(self.name.lower().split(".")) if not p.isdecimal()), "")

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of its tensors."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)


@dataclass(frozen=True)
class Skeleton:
    """The tensors of a file, sorted by where they stand.

    Attributes:
        blocks: the tensors of each block, their whole names by the names inside the block.
        outer: names of the tensors around the blocks.
        buffers: names of masks and the like.
        stem: what stands before a block's number, such as ``transformer.h.``; empty without numbers.
    """

    blocks: tuple[dict[str, str], ...]
    outer: tuple[str, ...]
    buffers: tuple[str, ...]
    stem: str


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers inside names by their size."""
    return [(int(part), "") if _counts(part) else (-1, part) for part in re.split(r"(\d+)", name)]


def _counts(part: str) -> bool:
    """Whether a part of a name is a number; one of thousands of digits is none that Python reads."""
    return part.isdecimal() and len(part) < MOST_DIGITS


def modules(names: Iterable[str], weights: Weights, whole: Mapping[str, str] | None = None) -> list[Module]:
    """Pair weights with their biases, in the order of the file.

    Args:
        names: of tensors, perhaps relative to a block.
        weights: all tensors by their whole names.
        whole: whole names by relative ones; None if ``names`` are whole.

    Returns:
        The modules; a bias without a weight is one of its own.
    """
    found: dict[str, dict[str, str]] = {}
    stored: dict[str, bool] = {}
    for name in names:
        ref = weights[whole[name] if whole else name]
        key, part, of_torch = _split(name, ref.ndim)
        found.setdefault(key, {})[part] = name
        stored[key] = stored.get(key, True) and of_torch

    def shape(name: str | None) -> tuple[int, ...]:
        return () if name is None else weights[whole[name] if whole else name].shape

    return [
        Module(key, weight, parts.get("b") if "w" in parts else None, shape(weight), stored[key], shape(parts.get("b")))
        for key, parts in found.items()
        for weight in [parts.get("w", parts.get("b", ""))]
    ]


def _split(name: str, ndim: int) -> tuple[str, str, bool]:
    """The module of a tensor, whether it is the weight or the bias, and whether torch's modules name it so."""
    parent, _, leaf = name.rpartition(".")
    if leaf in ("weight", "bias"):
        return parent, leaf[0], True
    ended = re.fullmatch(r"(.+)_(weight|bias)", leaf)  # in_proj_weight, q_proj_weight
    if ended:
        return f"{parent}.{ended[1]}".lstrip("."), ended[2][0], True
    if ndim == 1 and leaf in NORM_PARTS:
        return parent, NORM_PARTS[leaf], True
    begun = re.fullmatch(r"([WwbB])_?(.+)", leaf)  # W_Q and b_Q, W1 and b1
    if begun and (begun[1] in "Ww") == (ndim > 1) and ("_" in leaf or len(begun[2]) < 3):
        return f"{parent}.{begun[2]}".lstrip("."), begun[1].lower(), False
    return name, "w", False


def is_attention(name: str, ndim: int) -> bool:
    """Whether a tensor's name speaks of queries, keys and values, or of all three together."""
    label = Module(_split(name, ndim)[0], name, None, (), True).label
    return ndim > 1 and any(p.fullmatch(label) for p in (QUERY, FUSED))


def skeleton(weights: Weights) -> Skeleton:
    """Sort tensors into blocks and what stands around them.

    Args:
        weights: all tensors by name.

    Returns:
        The skeleton.

    Raises:
        NoFit: no attention, several stacks of blocks, or blocks that differ.
    """
    buffers = tuple(n for n, t in weights.items() if _is_buffer(n, t.ndim, t.dtype))
    names = [n for n in weights if n not in buffers]
    attention = [n for n in names if is_attention(n, weights[n].ndim)]
    labels = {Module(_split(n, weights[n].ndim)[0], n, None, (), True).label for n in names if weights[n].ndim > 1}
    kinds = [any(p.fullmatch(label) for label in labels) for p in (QUERY, KEY, VALUE)]
    if not attention or (sum(kinds) < 2 and not any(FUSED.fullmatch(label) for label in labels)):
        raise NoFit("")
    if odd := [n for n in names if not weights[n].dtype.is_floating_point or not weights[n].numel]:
        raise NoFit(f"tensors that hold no weights, but numbers of another kind or none: {', '.join(odd[:FEW])}")
    cut = _block_number(attention)
    if cut is None:
        return Skeleton(({n: n for n in names},), (), buffers, "")
    blocks: dict[int, dict[str, str]] = {int(_at(n, cut)): {} for n in attention}
    stems = {".".join(n.split(".")[:cut]) for n in attention}
    if len(stems) > 1:
        raise NoFit(f"attention stands in several stacks of blocks: {', '.join(sorted(stems))}")
    stem, outer = stems.pop(), []
    for name in names:
        parts = name.split(".")
        inside = ".".join(parts[:cut]) == stem and len(parts) > cut + 1 and _counts(parts[cut])
        if inside and int(parts[cut]) in blocks:
            blocks[int(parts[cut])][".".join(parts[cut + 1 :])] = name
        else:
            outer.append(name)
    ordered = tuple(blocks[i] for i in sorted(blocks))
    _require_alike(ordered, weights)
    return Skeleton(ordered, tuple(outer), buffers, f"{stem}." if stem else "")


def _is_buffer(name: str, ndim: int, dtype: torch.dtype) -> bool:
    masks = name.endswith(".bias") and ndim > 2  # the causal mask of GPT-2
    return (
        bool(BUFFER.search(name))
        or masks
        or ndim == 0
        or (not dtype.is_floating_point and (ndim < 2 or dtype == torch.bool))
    )


def _numbers(name: str) -> list[int]:
    """Where a name's numbers stand, those of heads left out."""
    parts = name.split(".")
    return [i for i, p in enumerate(parts) if _counts(p) and not (i and HEADS.search(parts[i - 1]))]


def _at(name: str, place: int) -> str:
    return name.split(".")[place]


def _block_number(attention: list[str]) -> int | None:
    """Where the number of the block stands: the first that counts several, or the first at all; None without numbers."""
    places = sorted({i for n in attention for i in _numbers(n)})
    # a list of projections, one a head, is numbered behind its name: queries.0, queries.1
    places = [
        i for i in places if not any(is_attention(".".join(n.split(".")[:i]) + ".weight", 2) for n in attention if i)
    ]
    shared = [i for i in places if all(i in _numbers(n) for n in attention)]
    several = [i for i in shared if len({_at(n, i) for n in attention}) > 1]
    return next(iter(several or shared), None)


def _require_alike(blocks: tuple[dict[str, str], ...], weights: Weights) -> None:
    shapes = [{rel: weights[name].shape for rel, name in block.items()} for block in blocks]
    for number, other in enumerate(shapes[1:], start=1):
        differing = sorted(k for k in {*shapes[0], *other} if shapes[0].get(k) != other.get(k))
        if differing:
            raise NoFit(f"blocks 0 and {number} differ in {', '.join(differing[:FEW])}")
