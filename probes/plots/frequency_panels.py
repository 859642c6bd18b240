"""One column per frequency: the circle of the embedding, and the logits' part over the input table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, kind_of
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject
from probes import cyclic_tables, fourier
from probes.plots import panels

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 8  # frequencies
DRAWN = 128  # rows of a map


def frequencies(subject: Subject | HookedModel, frequencies: Sequence[int] | int | None = None) -> go.Figure:
    """Two panels for each frequency: the embedding's circle, and the part of a logit over the input table.

    The circle: every symbol's embedding along the two directions of the embedding that have this frequency (its cosine and
    its sine over the symbols), coloured by symbol. The map: the logit of the answer 0 as a function of the inputs a (down)
    and b (across), restricted to this frequency in either or both of them; a network that adds shows stripes of a + b.

    Args:
        subject: a network on a task that is addition modulo n.
        frequencies: from 1 to (n - 1) / 2; by default those of the logits, at most six.

    Returns:
        the figure.

    Raises:
        MissingCapability: no task is known, or one that is not addition modulo n.
        InterpError: a frequency that the task does not have, or more than eight.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> figure = frequencies_of(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)), [1, 2])
    >>> len(figure.data)
    4
    """
    subject = as_subject(subject)
    subject.require_cyclic()
    logits = cyclic_tables.logit_table(subject)
    n = len(logits)
    wanted = _wanted(frequencies, logits, n)
    tables = cyclic_tables.embedding_tables(subject)
    name, embedding = next(iter(tables.items()))
    titles = [f"{name}, frequency {k}" for k in wanted] + [f"logit of 0, frequency {k}" for k in wanted]
    figure = panels.grid(titles, title="Frequency by frequency", across=len(wanted), size=300)
    maps = [part_of(logits[:, :, 0], k) for k in wanted]
    every = -(-n // DRAWN)
    symbols = list(range(n))
    for i, k in enumerate(wanted):
        x, y = circle(embedding.double(), k)
        figure.add_scatter(
            x=x.tolist(), y=y.tolist(), mode="markers", text=symbols, showlegend=False, row=1, col=i + 1,
            marker={"size": 6, "color": symbols, "colorscale": "Phase", "showscale": False},
            hovertemplate="symbol %{text}<extra></extra>",
        )  # fmt: skip
        figure.add_heatmap(
            z=maps[i][::every, ::every].float().cpu().numpy(), x=symbols[::every], y=symbols[::every], row=2, col=i + 1,
            coloraxis="coloraxis", hovertemplate="a %{y}, b %{x}: %{z:.4g}<extra></extra>",
        )  # fmt: skip
        figure.update_yaxes(scaleanchor="x" if i == 0 else f"x{i + 1}", row=1, col=i + 1)
    reach = max(float(one.abs().max()) for one in maps)
    axis = panels.signed_axis(reach, "logit")
    axis["colorbar"] |= {"len": 0.45, "y": 0, "yanchor": "bottom"}
    return panels.square(figure).update_layout(coloraxis=axis)


frequencies_of = frequencies  # the argument has the function's name


def _wanted(given: Sequence[int] | int | None, logits: Tensor, n: int) -> list[int]:
    if given is None:
        return sorted(fourier.logit_frequencies(logits)[:6]) or [1]
    if not isinstance(given, (int, list, tuple)) or isinstance(given, bool):
        raise InterpError(f"frequencies are whole numbers, got {kind_of(given)}")
    wanted = [given] if isinstance(given, int) else list(given)
    for k in wanted:
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= n // 2:
            raise InterpError(f"a frequency of addition modulo {n} is a whole number from 1 to {n // 2}, got {k!r}")
    if not 0 < len(wanted) <= MOST:
        raise InterpError(f"a figure shows 1 to {MOST} frequencies, got {len(wanted)}")
    return wanted


def circle(embedding: Float[Tensor, "n d"], k: int) -> tuple[Tensor, Tensor]:
    """Symbols on the plane of an embedding that has one frequency.

    Args:
        embedding: of the symbols, in the order in which the task is addition.
        k: the frequency.

    Returns:
        coordinates along the unit directions that the cosine and the sine of the frequency have in the embedding.
    """
    n = len(embedding)
    angles = 2 * math.pi * k * torch.arange(n, dtype=torch.float64, device=embedding.device) / n
    found = []
    for wave in (angles.cos(), angles.sin()):
        direction = wave @ embedding
        size = direction.norm()
        found.append(embedding @ (direction / size) if size > 0 else torch.zeros_like(wave))
    return found[0], found[1]


def part_of(table: Float[Tensor, "n n"], k: int) -> Tensor:
    """A function of two symbols, restricted to one frequency in either or both of them.

    Args:
        table: its values.
        k: the frequency.

    Returns:
        ``[n, n]``: all products of 1, cos and sin of the frequency in a and in b, without the constant.
    """
    power = torch.fft.fft2(table.double())
    n = len(table)
    kept = torch.zeros(n, dtype=torch.bool, device=table.device)
    kept[[0, k % n, -k % n]] = True
    mask = kept[:, None] & kept
    mask[0, 0] = False
    return torch.fft.ifft2(power * mask).real
