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
    return _continued(incomplete, "interp.analyses")


def compared_names(incomplete: str) -> list[str]:
    """As `analysis_names`, with the joint analyses, which ``interp compare`` runs."""
    return _continued(incomplete, "interp.analyses", "interp.joint_analyses")


def plugin_names(ctx: Context, incomplete: str) -> list[str]:
    """The names of analyses, or of measures, after the command that lists them."""
    return [name for name in _names(f"interp.{ctx.info_name}") if name.startswith(incomplete)]


def _names(group: str) -> list[str]:
    return sorted({point.name for point in entry_points(group=group)})


def _continued(incomplete: str, *groups: str) -> list[str]:
    """A list with commas, its last name completed from entry points."""
    before, comma, last = incomplete.rpartition(",")
    names = sorted(name for group in groups for name in _names(group))
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]
