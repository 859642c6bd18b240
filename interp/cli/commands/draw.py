"""``interp draw``: the picture of an image network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from interp.cli.options import Force, Member, Source
from interp.errors import InterpError


def draw(
    source: Source,
    target: Annotated[Path, typer.Argument(help="The file to write, ending in .png.", show_default=False)],
    size: Annotated[int, typer.Option(help="Pixels along each edge.", min=1)] = 256,
    x: Annotated[
        str, typer.Option(help="Coordinates of the rows, top to bottom: two numbers from -1 to 1, or beyond.")
    ] = "-1,1",
    y: Annotated[str, typer.Option(help="Coordinates of the columns, left to right.")] = "-1,1",
    member: Member = 0,
    force: Force = False,
) -> None:
    """Draw the picture of an image network, at any resolution, of any rectangle of the plane."""
    if target.exists() and not force:
        raise InterpError(f"{target} exists; choose another name, or overwrite it with --force")
    spans = parse_span("--x", x), parse_span("--y", y)
    from interp.checkpoints import load
    from interp.hooked import HookedCPPN

    subject = load(source, member=member, device="cpu")
    drawn = subject.model if isinstance(subject.model, HookedCPPN) else subject.genome
    if drawn is None:
        raise InterpError(
            f"{source}: a {type(subject.model).__name__} does not draw an image; a CPPN or a genome is needed"
        )
    typer.echo(f"{drawn.draw(size, *spans).save(target)}: {size} x {size} pixels")


def parse_span(flag: str, text: str) -> tuple[float, float]:
    """Two numbers with a comma between them.

    Args:
        flag: the option, for the message.
        text: what was typed.

    Returns:
        the two numbers.

    Raises:
        InterpError: anything else.

    >>> parse_span("--x", "-1,0.5")
    (-1.0, 0.5)
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not math.isfinite(low) or not math.isfinite(high):
        raise InterpError(f"cannot read {flag} {text!r}: write two numbers, {flag}=-1,1")
    return low, high
