"""What Sphinx needs to read our docstrings and formulas: Markdown into its own markup, TeX into MathML."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import reference
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

PIECES = re.compile(r"(\[[^\]]+\]\(https?://[^)\s]+\)|``.+?``|`[^`]+`|https?://[^\s<>`]+[^\s<>`.,;:)])", re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
ADDRESS = re.compile(r"(https?://[^\s<>`]+[^\s<>`.,;:)])")


def to_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring in place: names of the API become links, other code stays code, and |x| is not a substitution."""
    if what == "data" and obj.__doc__ == type(obj).__doc__:  # not its own: a dict's says what a dict is
        lines.clear()
    lines[:] = [line for block in _blocks(lines) for line in _block(block)]


def _blocks(lines: list[str]) -> list[list[str]]:
    """Paragraphs, each with the empty lines behind it."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip() and blocks[-1] and not blocks[-1][-1].strip():
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _block(lines: list[str]) -> list[str]:
    """An example stays as it is, from its first prompt on; code in words may run over the end of a line."""
    prompt = next((i for i, line in enumerate(lines) if line.lstrip().startswith(">>>")), len(lines))
    words = [_joined("\n".join(lines[:prompt])).split("\n")] if prompt else []
    return [*(line for found in words for line in found), *lines[prompt:]]


def _joined(text: str) -> str:
    """The pieces of a text, with the escape that markup wants where a word goes on behind it."""
    pieces = [_piece(piece) for piece in PIECES.split(text)]
    ends = [a.endswith("`") and b[:1].isalnum() for a, b in pairwise([*pieces, ""])]
    return "".join(piece + "\\ " * end for piece, end in zip(pieces, ends, strict=True))


def _piece(piece: str) -> str:
    if link := LINK.fullmatch(piece):
        return f"`{link[1]} <{link[2]}>`__"
    if piece.startswith("``"):
        return re.sub(r"\s+", " ", piece)
    if piece.startswith("`") and piece.endswith("`") and len(piece) > 1:
        name = re.sub(r"\s+", " ", piece.strip("`"))
        full = reference.full_name(name)
        return f":py:obj:`{name} <{full}>`" if full else f"``{name}``"
    if ADDRESS.fullmatch(piece):
        return piece
    piece = re.sub(r"(?<!\*)\*(?!\*)", r"\\*", piece)
    return re.sub(r"(?<=\w)_(?!\w)", r"\\_", piece).replace("|", r"\|")


def mathml(tex: str, block: bool = False) -> str:
    """A formula as MathML; sizes of brackets, which the converter does not know, are the browser's own."""
    known = re.sub(r"\\[bB]igg?[lr]?(?![a-zA-Z])|\\!", "", tex).replace(r"\dots", r"\ldots")
    found = tex2mathml(known.replace(r"\setminus", r"\backslash"), as_block=block)  # a sign that few fonts have
    return found.replace("<mo>‖</mo>", '<mo stretchy="false">‖</mo>')


def inline_math(writer: Any, node: nodes.math) -> None:
    """A formula inside a sentence."""
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def block_math(writer: Any, node: nodes.math_block) -> None:
    """A formula on a line of its own; browsers draw MathML without any script."""
    writer.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode
