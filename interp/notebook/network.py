"""A network drawn as boxes: what each part is, and the shapes of its weights."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from interp.notebook import tables
from interp.notebook.show import fold

BOX = (
    "border:1px solid rgba(128,128,128,.6);border-radius:6px;padding:.35em .6em;background:rgba(128,128,128,.08);"
    "text-align:left;font-size:90%"
)
BLOCK = re.compile(r"blocks\.\d+\.")  # of a deep transformer, a box for each
SHOWN = 8  # boxes; of more, the first and the last
LINES = 6  # weights in a box
ARROW = '<span style="opacity:.6">&#8594;</span>'


class Box(NamedTuple):
    """A part of a network.

    Attributes:
        name: as in the names of its weights.
        about: what it is, in a few words.
        weights: name and shape of each.
    """

    name: str
    about: str
    weights: Sequence[tuple[str, str]]


def boxes(model: Any) -> list[Box]:
    """The parts of a hooked model, in the order of their weights.

    Args:
        model: with ``config`` and named parameters.

    Returns:
        a box per embedding, block, layer or other module that holds weights; of a single block its attention and its MLP.
    """
    config = model.config.to_dict()
    named = [name for name, _ in model.named_parameters()]
    deep = len({m[0] for name in named if (m := BLOCK.match(name))}) > 1
    grouped: dict[str, list[tuple[str, str]]] = {}
    for name, parameter in model.named_parameters():
        block = BLOCK.match(name) if deep else None
        place = block[0].rstrip(".") if block else name.rpartition(".")[0] or "weights"
        shape = " x ".join(str(n) for n in parameter.shape) or "1"
        grouped.setdefault(place, []).append((name.removeprefix(f"{place}."), shape))
    return [Box(place, _about_all(place, weights, config), weights) for place, weights in grouped.items()]


def _about_all(place: str, weights: Sequence[tuple[str, str]], config: Mapping[str, Any]) -> str:
    """What a part is; of a whole block, what its parts are."""
    inside = dict.fromkeys(f"{place}.{name.rpartition('.')[0]}" for name, _ in weights if "." in name)
    return "; ".join(filter(None, (_about(one, config) for one in inside or [place])))


def _about(place: str, config: Mapping[str, Any]) -> str:
    """What a part is, as far as the config says."""
    last = place.rsplit(".", 1)[-1]
    if last == "attn" and "n_heads" in config:
        kind = "causal" if config.get("causal") else "bidirectional"
        return f"{config['n_heads']} heads of {config['d_head']}, {kind}"
    if last == "mlp" and config.get("d_mlp"):
        gated = ", gated" if config.get("gated_mlp") else ""
        return f"{config['d_mlp']} neurons, {config.get('act_fn', '')}{gated}"
    if last == "embed" and config.get("d_vocab"):
        return f"{config['d_vocab']} tokens"
    if last == "pos_embed" and config.get("n_ctx"):
        return f"{config['n_ctx']} positions"
    if last == "unembed":
        outputs = config.get("d_vocab_out") or config.get("d_out")
        return f"{outputs} outputs" if outputs else ""
    if place.startswith("layers.") and isinstance(config.get("act_fn"), str):
        return str(config["act_fn"])
    return ""


def drawing(model: Any) -> str:
    """The network as HTML: boxes from left to right, which wrap.

    Args:
        model: with ``config`` and named parameters.

    Returns:
        escaped HTML that takes its colours from the page.
    """
    found = boxes(model)
    if not found:
        return ""
    shown: list[Box | int] = list(found)
    if len(found) > SHOWN:
        half = SHOWN // 2
        shown = [*found[:half], len(found) - 2 * half, *found[-half:]]
    inside = f" {ARROW} ".join(_box(one) for one in shown)
    return f'<div style="display:flex;flex-wrap:wrap;gap:.4em;align-items:center;margin:.4em 0">{inside}</div>'


def subject(name: str, model: Any, rows: Sequence[tuple[str, str]]) -> str:
    """A Subject as HTML: its network as boxes, what is known of it, and its config folded.

    Args:
        name: of the subject.
        model: its model.
        rows: what is known, as label and text; labels ``note`` and ``WARNING`` may occur repeatedly.

    Returns:
        escaped HTML.
    """
    about = {label: text for label, text in rows if label not in ("config", "note", "WARNING")}
    warned = "".join(f"<p>&#9888; {html.escape(text)}</p>" for label, text in rows if label == "WARNING")
    notes = "".join(f"<li>{html.escape(text)}</li>" for label, text in rows if label == "note")
    folded = fold("config", tables.pairs(model.config.to_dict())) + fold("notes", notes and f"<ul>{notes}</ul>")
    return f"<p><b>{html.escape(name)}</b></p>{warned}{drawing(model)}{tables.pairs(about)}{folded}"


def line(model: Any) -> str:
    """The network as one line of text.

    Args:
        model: with ``config`` and named parameters.

    Returns:
        the parts and what they are, joined by arrows.
    """
    found = boxes(model)
    if len(found) > SHOWN:
        half = SHOWN // 2
        return " > ".join([*map(_text, found[:half]), f"{len(found) - 2 * half} more", *map(_text, found[-half:])])
    return " > ".join(map(_text, found))


def _text(box: Box) -> str:
    return f"{box.name} ({box.about})" if box.about else box.name


def _box(box: Box | int) -> str:
    if isinstance(box, int):
        return f'<div style="opacity:.7">{box:,} more</div>'
    about = f'<div style="opacity:.8">{html.escape(box.about)}</div>' if box.about else ""
    return f'<div style="{BOX}"><b>{html.escape(box.name)}</b>{about}{"".join(_weights(box.weights))}</div>'


def _weights(weights: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, shape in weights[:LINES]:
        yield f'<div style="font-family:monospace;font-size:90%">{html.escape(name)} {html.escape(shape)}</div>'
    if len(weights) > LINES:
        yield f'<div style="opacity:.7">{len(weights) - LINES:,} more</div>'
