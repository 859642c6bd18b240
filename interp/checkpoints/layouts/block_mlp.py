"""The MLP and the norms of a block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.checkpoints.layouts.block_attention import Load, Oriented
from interp.checkpoints.layouts.block_names import FEW, Module, NoFit, natural

INTO = re.compile(
    r"fc_?1|lin(?:ear)?_?1|w_?1|in|w_?in|fc_?in|lin(?:ear)?_?in|proj_in|c_fc|up(?:_proj)?|w_?up|expand|dense_h_to_4h|wi|intermediate"
)
OUT_OF = re.compile(
    r"output|fc_?2|lin(?:ear)?_?2|w_?2|out|w_?out|fc_?out|lin(?:ear)?_?out|proj_out|c_proj|down(?:_proj)?|w_?down|contract|dense_4h_to_h|wo"
)
GATE = re.compile(r"gate(?:_proj)?|w_?gate|wg|w_g|(?:fc|lin|linear)_?gate|wi_0|fc_?1_g|gate_fc")
SECOND = re.compile(r"ff|mlp|feed|post_attention|norm_?2|ln_?2|ln2", re.IGNORECASE)
FIRST = re.compile(r"attn|attention|(?:^|[._])sa(?:$|[._])|input_|norm_?1|ln_?1|ln1", re.IGNORECASE)


@dataclass(frozen=True)
class MLPParts:
    """Which modules of a block are its MLP.

    Attributes:
        into: from the stream to the neurons.
        out_of: back.
        gate: of a gated MLP, a module of its own; None in others.
        fused_gate: whether ``into`` holds the gate as well.
        width: how many neurons.
    """

    into: Module
    out_of: Module
    gate: Module | None
    fused_gate: bool
    width: int

    @property
    def gated(self) -> bool:
        """Whether there is a gate."""
        return self.gate is not None or self.fused_gate

    @property
    def used(self) -> set[str]:
        """Names of its tensors."""
        return {t for m in (self.into, self.out_of, self.gate) if m is not None for t in m.tensors}


def find_mlp(matrices: Sequence[Module], d_model: int, ordered: bool) -> MLPParts | None:
    """The MLP among the matrices of a block that are not its attention's.

    Args:
        matrices: the modules.
        d_model: width of the residual stream.
        ordered: whether they come in the order in which the block registered them.

    Returns:
        The parts; None without matrices.

    Raises:
        NoFit: one matrix, more than three, or shapes that don't fit together.
    """
    if not matrices:
        return None
    listed = ", ".join(f"{m.name} {list(m.shape)}" for m in matrices[:FEW])
    if len(matrices) not in (2, 3) or any(len(m.shape) != 2 or d_model not in m.shape for m in matrices):
        raise NoFit(f"a block's matrices besides attention are no MLP of d_model = {d_model}: {listed}")
    if len(matrices) == 3:
        into, out_of, gate = _gated(matrices, listed)
    else:
        (into, out_of), gate = _in_order(matrices, ordered, listed), None
    width, wide = _other(out_of, d_model), _other(into, d_model)
    fused = gate is None and wide == 2 * width
    if (wide != width and not fused) or (gate is not None and sorted(gate.shape) != sorted(into.shape)):
        raise NoFit(f"the matrices of the MLP don't fit together: {listed}")
    if out_of.bias_shape not in ((), (d_model,)) or into.bias_shape not in ((), (wide,)):
        raise NoFit(f"the biases of the MLP don't fit its matrices: {listed}")
    return MLPParts(into, out_of, gate, fused, width)


def _other(module: Module, d_model: int) -> int:
    """The axis of a matrix that is not the stream's."""
    return module.shape[0] if module.shape[1] == d_model else module.shape[1]


def _gated(matrices: Sequence[Module], listed: str) -> tuple[Module, Module, Module]:
    """In, out and gate; ``w1``, ``w3`` and ``w2`` are LLaMA's gate, in and out."""
    by_label = {m.label: m for m in matrices}
    if set(by_label) == {"w1", "w2", "w3"}:
        return by_label["w3"], by_label["w2"], by_label["w1"]
    gates = [m for m in matrices if GATE.fullmatch(m.label)]
    outs = [m for m in matrices if m not in gates and OUT_OF.fullmatch(m.label)]
    if len(gates) != 1 or len(outs) != 1:
        raise NoFit(f"names don't say which of three matrices is the gate and which the way out: {listed}")
    return next(m for m in matrices if m not in (*gates, *outs)), outs[0], gates[0]


def _in_order(matrices: Sequence[Module], ordered: bool, listed: str) -> tuple[Module, Module]:
    first, second = sorted(matrices, key=lambda m: natural(m.name))
    for a, b in ((first, second), (second, first)):
        named, other = (_speaks(INTO, a), _speaks(OUT_OF, b)), (_speaks(INTO, b), _speaks(OUT_OF, a))
        if any(named) and not any(other):
            return a, b
    if re.sub(r"\d+", "#", first.name) == re.sub(r"\d+", "#", second.name):  # numbered: ff.0 and ff.2
        return first, second
    if ordered:
        return matrices[0], matrices[1]
    raise NoFit(f"names don't say which matrix of the MLP comes first: {listed}")


def _speaks(pattern: re.Pattern[str], module: Module) -> bool:
    return any(pattern.fullmatch(part) for part in module.name.lower().split("."))


def read_mlp(parts: MLPParts, d_model: int, load: Load, oriented: Oriented, gate_first: bool) -> dict[str, Tensor]:
    """Our ``W_in``, ``W_gate``, ``W_out`` and their biases.

    Args:
        parts: of the block.
        d_model: width of the residual stream.
        load: reads a tensor by its name in the block.
        oriented: brings a matrix into the form [in, out].
        gate_first: whether a fused matrix holds the gate in its first half.

    Returns:
        by our names; biases only if there are any, zero where the file has none.
    """
    wide = parts.width * (2 if parts.fused_gate else 1)
    found = {
        "W_in": oriented(parts.into, load(parts.into.weight), d_model, wide),
        "W_out": oriented(parts.out_of, load(parts.out_of.weight), parts.width, d_model),
    }
    biases = {"b_in": parts.into, "b_out": parts.out_of}
    if parts.gate is not None:
        found["W_gate"] = oriented(parts.gate, load(parts.gate.weight), d_model, parts.width)
        biases["b_gate"] = parts.gate
    if any(m.bias is not None for m in biases.values()):
        sizes = {"b_in": wide, "b_out": d_model, "b_gate": parts.width}
        for name, module in biases.items():
            absent = found["W_in"].new_zeros(sizes[name])
            found[name] = absent if module.bias is None else load(module.bias)
    if parts.fused_gate:
        for kind in ("W", "b") if "b_in" in found else ("W",):
            halves = found[f"{kind}_in"].chunk(2, -1)
            found[f"{kind}_gate"], found[f"{kind}_in"] = halves if gate_first else halves[::-1]
    return found


def order_norms(norms: Sequence[Module], has_mlp: bool, ordered: bool) -> tuple[Module, ...]:
    """A block's norms: attention's, then the MLP's.

    Args:
        norms: modules with a weight of one axis.
        has_mlp: whether there is an MLP.
        ordered: whether they come in the order in which the block registered them.

    Returns:
        as many as our blocks have, or none.

    Raises:
        NoFit: another number of norms, or names that don't tell them apart.
    """
    wanted = 2 if has_mlp else 1
    if len(norms) not in (0, wanted):
        raise NoFit(
            f"{len(norms)} norms in a block, our transformer has {wanted} or none: {', '.join(m.name for m in norms[:FEW])}"
        )
    if len(norms) < 2:
        return tuple(norms)
    marks = [(bool(FIRST.search(m.name)) and not SECOND.search(m.name), bool(SECOND.search(m.name))) for m in norms]
    if marks[0] != marks[1]:
        return tuple(norms) if marks[0][0] or marks[1][1] else tuple(reversed(norms))
    first, second = sorted(norms, key=lambda m: natural(m.name))
    if re.sub(r"\d+", "#", first.name) == re.sub(r"\d+", "#", second.name):
        return first, second
    if ordered:
        return tuple(norms)
    raise NoFit(f"names don't say which norm is attention's: {first.name}, {second.name}")


def read_norm(norm: Module, load: Load, centred: bool) -> dict[str, Tensor]:
    """Our ``w`` and, of a LayerNorm, ``b``, zero where the file has none."""
    weight = load(norm.weight)
    if not centred:
        return {"w": weight}
    return {"w": weight, "b": torch.zeros_like(weight) if norm.bias is None else load(norm.bias)}
