"""What stands around a transformer's blocks: embeddings of tokens and positions, the last norm, the output layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from interp.checkpoints.layouts.block_names import FEW, Module, NoFit

POSITION = re.compile(r"pos(?:$|[^t])|wpe|(?:^|[._])pe(?:$|[._])|time_emb", re.IGNORECASE)
OUTPUT = re.compile(
    r"(?:lm_|mlp_|out(?:put)?_|pred_|cls_)?head|out(?:put)?s?(?:_(?:proj|projection|layer|linear|net|fc|embed\w*))?|decoder|fc(?:_out)?|"
    r"final(?:_\w+)?|classifier|to_logits|logits|readout|u|linear|proj(?:ection)?|predictor|generator"
)
EARLY = re.compile(r"emb|pre|input|(?:_|\.)in$|ln_?0|norm_?0|first", re.IGNORECASE)
TOKEN = re.compile(r"emb|tok|wte|vocab|(?:^|\.)(?:e|encoder|input|we|word\w*)$", re.IGNORECASE)


@dataclass(frozen=True)
class OuterParts:
    """The modules around the blocks.

    Attributes:
        token: the table of tokens.
        vocabulary_first: whether it is [vocab, d_model].
        position: the table of positions; None without one.
        norm: the last norm; None without one.
        output: the output layer; None where it is the table of tokens (tied).
        d_model: width of the residual stream.
    """

    token: Module
    vocabulary_first: bool
    position: Module | None
    norm: Module | None
    output: Module | None
    d_model: int

    @property
    def used(self) -> set[str]:
        """Names of the tensors."""
        return {t for m in (self.token, self.position, self.norm, self.output) if m is not None for t in m.tensors}


def find_outer(outer: Sequence[Module], streams: set[int]) -> OuterParts:
    """Tell the modules around the blocks apart, by names and then by shapes.

    Args:
        outer: the modules.
        streams: axes of attention's matrices, one of which is d_model.

    Returns:
        The parts.

    Raises:
        NoFit: no table of tokens, several of a kind, or tensors without a place.
    """
    kinds: dict[str, list[Module]] = {"token": [], "position": [], "output": [], "norm": []}
    for module in outer:
        kinds[_kind(module)].append(module)
    tables = kinds["token"]
    if not tables:
        raise NoFit("no table of tokens (an nn.Embedding) around the blocks; our transformer reads tokens")
    for kind, found in kinds.items():
        if len(found) > 1:
            raise NoFit(
                f"more than one {kind} {'layer' if kind == 'output' else 'part'}: {', '.join(m.name for m in found[:FEW])}"
            )
    token = tables[0]
    if len(token.shape) != 2 or token.bias is not None or not streams & set(token.shape):
        raise NoFit(f"{token.name} {list(token.shape)} is not a table of tokens that attention could read")
    first = token.shape[1] in streams
    d_model = token.shape[1 if first else 0]
    position, norm, output = (next(iter(kinds[k]), None) for k in ("position", "norm", "output"))
    if position is not None and (
        position.shape[-1] != d_model or position.bias or sorted(position.shape)[0:-2] not in ([], [1])
    ):
        raise NoFit(f"{position.name} {list(position.shape)} is not a table of positions of d_model = {d_model}")
    if norm is not None and EARLY.search(norm.name):
        raise NoFit(f"{norm.name} seems to be a norm of the embeddings, which our transformer lacks")
    if norm is not None and norm.shape != (d_model,):
        raise NoFit(f"{norm.name} {list(norm.shape)} is not a norm of d_model = {d_model}")
    if output is not None and (len(output.shape) != 2 or d_model not in output.shape):
        raise NoFit(f"{output.name} {list(output.shape)} is not an output layer of d_model = {d_model}")
    return OuterParts(token, first, position, norm, output, d_model)


def _kind(module: Module) -> str:
    if len(module.shape) == 1:
        return "norm"
    if len(module.shape) > 3:
        raise NoFit(f"{module.name} {list(module.shape)} has no place in a transformer")
    if POSITION.search(module.name):
        return "position"
    if "unemb" in module.name.lower() or OUTPUT.fullmatch(module.label):
        return "output"
    return "token" if TOKEN.search(module.name) else "output"


def is_outer(module: Module) -> bool:
    """Whether a module of a transformer with one unnumbered block stands around the block, by its name."""
    if len(module.shape) == 1:
        return bool(re.search(r"ln_?f|final|ln_?out|norm_?out|norm_?f|out_norm|ln_?post", module.name, re.IGNORECASE))
    if "." in module.name and not re.search(r"emb|head", module.name, re.IGNORECASE):
        return False
    name = module.name.lower()
    if POSITION.search(name) or TOKEN.search(name):
        return True
    return bool(
        re.fullmatch(
            r".*unemb.*|(?:.*\.)?u|(?:lm_)?head|output|decoder|fc_out|classifier|to_logits|readout|fc|linear", name
        )
    )
