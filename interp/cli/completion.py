"""Names that the shell completes: read from the entry points, since importing the analyses would take seconds."""

from __future__ import annotations

from importlib.metadata import entry_points

from typer import Context


def analysis_names(incomplete: str) -> list[str]:
    """The lists of analyses that a list with commas may go on to.

    Args:
        incomplete: what is typed so far.

    Returns:
        the same with the last name completed.
    """
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _names("interp.analyses") if name.startswith(last)]


def compared_names(incomplete: str) -> list[str]:
    """As `analysis_names`, with the joint analyses, which ``interp compare`` runs."""
    before, comma, last = incomplete.rpartition(",")
    names = sorted([*_names("interp.analyses"), *_names("interp.joint_analyses")])
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def plugin_names(ctx: Context, incomplete: str) -> list[str]:
    """The names of analyses, or of measures, after the command that lists them."""
    return [name for name in _names(f"interp.{ctx.info_name}") if name.startswith(incomplete)]


def _names(group: str) -> list[str]:
    return sorted({point.name for point in entry_points(group=group)})
