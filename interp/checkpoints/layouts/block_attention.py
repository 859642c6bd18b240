"""The attention of a block, however it is kept: fused, one matrix each, one module a head, or one axis for the heads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.checkpoints.layouts.block_names import FEW, FUSED, KEY, QUERY, VALUE, Module, NoFit, natural

CROSS = re.compile(r"cross|multihead_attn|enc_dec|encoder_att", re.IGNORECASE)
OUTPUT = re.compile(
    r"(?:w|to|attn|c|fc|lin|linear|head)?_?(?:o|out|outputs?|proj|projection|dense|concat|unify_?heads?|merge|"
    r"combine(?:_?heads?)?|final|fc|linear|mix)(?:_?(?:proj|projection|lin|linear|layer|w|weights?|mat|net|fc))?"
)
MLP_WORDS = re.compile(
    r"(?:^|[._])(?:ff|ffn|ffwd|mlp|feed_?forward|feedforward|linear_net|fc_?[12]|lin(?:ear)?_?[12]|c_fc|intermediate)(?:$|[._\d])"
)


@dataclass(frozen=True)
class AttentionParts:
    """Which modules of a block are its attention.

    Attributes:
        fused: queries, keys and values in one; None if they are apart.
        apart: queries, keys and values, each a module a head or one for all.
        shared_bias: one bias for three matrices that are apart, as nn.MultiheadAttention keeps it.
        output: the output projection, one module or one a head; empty where the heads' outputs are only concatenated.
        d_model: width of the residual stream.
        inner: width of all heads together.
        heads: how many, where the tensors say so.
    """

    fused: Module | None
    apart: tuple[tuple[Module, ...], ...]
    output: tuple[Module, ...]
    d_model: int
    inner: int
    heads: int | None
    shared_bias: Module | None = None

    @property
    def inputs(self) -> tuple[Module, ...]:
        """The modules of queries, keys and values."""
        return (self.fused,) if self.fused else tuple(m for group in self.apart for m in group)

    @property
    def used(self) -> set[str]:
        """Names of its tensors."""
        shared = () if self.shared_bias is None else (self.shared_bias,)
        return {t for m in (*self.inputs, *self.output, *shared) for t in m.tensors}


def find_attention(block: Sequence[Module], d_model: int) -> AttentionParts:
    """The attention among the modules of a block.

    Args:
        block: its modules.
        d_model: width of the residual stream.

    Returns:
        The parts.

    Raises:
        NoFit: several attentions, missing parts, or shapes that don't fit together.
    """
    if crossing := [m.name for m in block if CROSS.search(m.name)]:
        raise NoFit(f"attention to another sequence is not part of our transformer: {', '.join(crossing[:FEW])}")
    matrices = [m for m in block if len(m.shape) > 1]
    fused = [m for m in matrices if FUSED.fullmatch(m.label)]
    apart = tuple(
        tuple(sorted((m for m in matrices if pattern.fullmatch(m.label)), key=lambda m: natural(m.name)))
        for pattern in (QUERY, KEY, VALUE)
    )
    named = [m.name for m in (*fused, *(g[0] for g in apart if g))]
    if len(fused) > 1 or (fused and any(apart)):
        raise NoFit(f"more than one attention in a block: {', '.join(named)}")
    if not fused and not all(apart):
        raise NoFit(f"queries, keys and values are not all there, only {', '.join(named)}")
    inner, heads = _fused_width(fused[0], d_model) if fused else _apart_width(apart, d_model)
    inputs = [*fused, *(m for group in apart for m in group)]
    output = _find_output(matrices, inputs, inner, d_model, heads)
    _require_biases(inputs, output, inner, d_model)
    if not output and inner != d_model:
        raise NoFit(f"attention without an output projection writes {inner} numbers, the stream has {d_model}")
    shared = [m for m in block if FUSED.fullmatch(m.label) and m.shape == (3 * inner,)]
    return AttentionParts(
        fused[0] if fused else None, () if fused else apart, output, d_model, inner, heads, next(iter(shared), None)
    )


def _require_biases(inputs: Sequence[Module], output: Sequence[Module], inner: int, d_model: int) -> None:
    """Biases are as long as what they are added to."""
    width = 3 * inner // len(inputs)
    for module, size in (*((m, width) for m in inputs), *((m, d_model) for m in output)):
        if module.bias is not None and math.prod(module.bias_shape) != size:
            raise NoFit(f"{module.bias} is {list(module.bias_shape)}, expected {size} numbers")


def _fused_width(fused: Module, d_model: int) -> tuple[int, int | None]:
    shape = fused.shape
    if len(shape) != 2 or d_model not in shape:
        raise NoFit(f"{fused.name} is {list(shape)}, expected 3 x heads x d_head by d_model = {d_model}")
    wide = shape[0] if shape[1] == d_model else shape[1]
    if wide % 3:
        raise NoFit(
            f"{fused.name} is {list(shape)}: not three equal parts for queries, keys and values (grouped queries?)"
        )
    return wide // 3, None


def _apart_width(apart: Sequence[Sequence[Module]], d_model: int) -> tuple[int, int | None]:
    query, *others = apart
    if any([m.shape for m in group] != [m.shape for m in query] for group in others):
        listed = ", ".join(f"{m.name} {list(m.shape)}" for group in apart for m in group[:1])
        raise NoFit(
            f"queries, keys and values differ in shape, as with grouped queries, which our transformer lacks: {listed}"
        )
    if len(query) > 1 and len({re.sub(r"\d+", "#", m.name) for m in query}) > 1:
        raise NoFit(f"more than one attention in a block: {query[0].name} and {query[1].name}")
    shape = query[0].shape
    if d_model not in shape or len(shape) not in (2, 3):
        raise NoFit(f"{query[0].name} is {list(shape)}, which has no axis of d_model = {d_model}")
    axis = model_axis(query[0], d_model)
    others = [n for i, n in enumerate(shape) if i != axis]
    if len(shape) == 3 and len(query) > 1:
        raise NoFit(f"{query[0].name} has an axis of heads and is one of several")
    if len(shape) == 3:
        return math.prod(others), others[0]
    return others[0] * len(query), len(query) if len(query) > 1 else None


def model_axis(module: Module, d_model: int) -> int:
    """Which axis is the stream's; of three, the others are heads, then a head's width."""
    places = [i for i, n in enumerate(module.shape) if n == d_model]
    if len(places) > 1 and len(module.shape) > 2:
        raise NoFit(f"{module.name} is {list(module.shape)}: more than one axis could be d_model = {d_model}")
    return places[-1]


def output_order(module: Module, heads: int, size: int, d_model: int) -> tuple[int, ...]:
    """The order of axes that makes an output projection ``[head, d_head, d_model]``."""
    shape, wanted = module.shape, (heads, size, d_model)
    orders = [o for o in ((0, 1, 2), (1, 2, 0), (0, 2, 1)) if tuple(shape[i] for i in o) == wanted]
    if len(orders) != 1:
        raise NoFit(f"{module.name} is {list(shape)}, which cannot be told to be heads, d_head and d_model")
    return orders[0]


def _find_output(
    matrices: Sequence[Module], inputs: Sequence[Module], inner: int, d_model: int, heads: int | None
) -> tuple[Module, ...]:
    """The output projection: what else stands with queries, keys and values, or what is named as one."""
    free = [m for m in matrices if m not in inputs]
    parent, beside = _parent(inputs[0]), []
    while parent and not beside:  # in the module of queries, keys and values, or in one around it
        beside = [m for m in free if f"{m.name}.".startswith(f"{parent}.") and not MLP_WORDS.search(m.name)]
        parent = parent.rpartition(".")[0]
    named = [m for m in beside or free if OUTPUT.fullmatch(m.label) and not MLP_WORDS.search(m.name)]
    chosen = beside if len(beside) == 1 else named
    if len(chosen) > 1 and len(chosen) != heads:
        raise NoFit(f"several output projections of attention: {', '.join(m.name for m in chosen[:FEW])}")
    for module in chosen:
        if sorted(module.shape)[-1] not in (d_model, inner) and len(module.shape) == 2:
            raise NoFit(f"{module.name} is {list(module.shape)}, expected {inner} by {d_model}")
    return tuple(sorted(chosen, key=lambda m: natural(m.name)))


def _parent(module: Module) -> str:
    """The module around, numbers and lists of heads left out."""
    parts = module.name.split(".")[:-1]
    while parts and (parts[-1].isdecimal() or re.search(r"heads?$", parts[-1], re.IGNORECASE)):
        parts.pop()
    return ".".join(parts)


Load = Callable[[str], Tensor]
Oriented = Callable[[Module, Tensor, int, int], Tensor]  # a module's weight as [in, out]


def read_attention(
    parts: AttentionParts, heads: int, load: Load, oriented: Oriented, head_major: bool
) -> dict[str, Tensor]:
    """Our ``W_Q``, ``b_Q`` and so on.

    Args:
        parts: of the block.
        heads: how many.
        load: reads a tensor by its name in the block.
        oriented: brings a matrix into the form [in, out].
        head_major: whether a fused matrix keeps each head's queries, keys and values together.

    Returns:
        by our names; biases only if there are any, zero where the file has none.
    """
    d, inner = parts.d_model, parts.inner
    if parts.fused is not None:
        whole = oriented(parts.fused, load(parts.fused.weight), d, 3 * inner)
        bias = None if parts.fused.bias is None else load(parts.fused.bias)
        split = (heads, 3, -1) if head_major else (3, heads, -1)
        flat = list(whole.unflatten(1, split).movedim(1 + head_major, 0).flatten(2))
        biases = (
            [None] * 3
            if bias is None
            else list(bias.flatten().unflatten(0, split).movedim(int(head_major), 0).flatten(1))
        )
    else:
        flat = [torch.cat([_as_input(m, load, oriented, d) for m in group], 1) for group in parts.apart]
        biases = [
            torch.cat([load(m.bias).flatten() for m in group if m.bias is not None]) if group[0].bias else None
            for group in parts.apart
        ]
        if parts.shared_bias is not None:
            biases = list(load(parts.shared_bias.weight).unflatten(0, (3, -1)))
    found = {f"W_{n}": w.unflatten(1, (heads, -1)).transpose(0, 1) for n, w in zip("QKV", flat, strict=True)}
    found["W_O"] = _read_output(parts, heads, load, oriented, flat[0])
    out_biases = [load(m.bias).flatten() for m in parts.output if m.bias is not None]
    if out_biases or any(b is not None for b in biases):
        zero = flat[0].new_zeros(inner)
        for name, b in zip("QKV", biases, strict=True):
            found[f"b_{name}"] = (zero if b is None else b).unflatten(0, (heads, -1))
        found["b_O"] = torch.stack(out_biases).sum(0) if out_biases else flat[0].new_zeros(d)
    return found


def _as_input(module: Module, load: Load, oriented: Oriented, d_model: int) -> Tensor:
    """``[d_model, heads of the module * d_head]``."""
    weight = load(module.weight)
    if weight.ndim == 3:
        return weight.movedim(model_axis(module, d_model), 0).flatten(1)
    width = weight.numel() // d_model
    return oriented(module, weight, d_model, width)


def _read_output(parts: AttentionParts, heads: int, load: Load, oriented: Oriented, like: Tensor) -> Tensor:
    """``[head, d_head, d_model]``."""
    d, inner = parts.d_model, parts.inner
    if not parts.output:
        return torch.eye(d, dtype=like.dtype).unflatten(0, (heads, -1))
    first = load(parts.output[0].weight)
    if first.ndim == 3:
        size = inner // heads
        return first.permute(output_order(parts.output[0], heads, size, d))
    rows = inner // len(parts.output)
    return torch.cat([oriented(m, load(m.weight), rows, d) for m in parts.output]).unflatten(0, (heads, -1))
