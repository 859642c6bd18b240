"""What ``interp compare`` prints, and how ``interp draw`` reads a rectangle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from interp.cli.failures import escape
from interp.errors import InterpError

if TYPE_CHECKING:
    from interp.report.comparison import Comparison


def show_comparison(found: Comparison, page: Path) -> None:
    """The verdicts, what failed, and where the report is."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, emoji=False)
    errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    console.print(f"[bold]{escape(' and '.join(found.subjects))}[/]")
    for name, result in found.together.items():
        console.print(f"  {name}: {escape(result.headline)}")
    for name, outcomes in found.outcomes.items():
        for warning in found.subjects[name].warnings:
            errors.print(f"[red]WARNING[/] {escape(name)}: {escape(warning)}")
        for outcome in outcomes.values():
            if outcome.status == "failed":
                errors.print(f"[red]failed[/] {escape(name)}, {outcome.name}: {escape(outcome.error)}")
    for name, reason in found.failed.items():
        errors.print(f"[red]failed[/] comparison of {name}: {escape(reason)}")
    console.print(f"Report: {escape(str(page))}")


def parse_span(flag: str, text: str) -> tuple[float, float]:
    """Two numbers with a comma between.

    >>> parse_span("--x", "-1,0.5")
    (-1.0, 0.5)
    """
    try:
        low, high = (float(part) for part in text.split(","))
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError
    except ValueError:
        raise InterpError(f"cannot read {flag} {text!r}: write two numbers, {flag}=-1,1") from None
    return low, high
