"""Runs as the host sees them: what a `Subject` knows of the training that it came from.

Runs are opened by entry points of the group ``interp.runs``: each is a callable that takes the folder of a run and returns
a `RunLike`. Ours is `interp.Run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from interp._util.registry import load_group
from interp.errors import InterpError, MissingCapability

if TYPE_CHECKING:
    import pandas as pd

GROUP = "interp.runs"


class PlanLike(Protocol):
    """What was trained."""

    @property
    def members(self) -> Sequence[Mapping[str, Any]]:
        """Per network, the settings that are its own."""
        ...

    @property
    def steps(self) -> int:
        """Number of updates."""
        ...


@runtime_checkable
class RunLike(Protocol):
    """A run of one network or several.

    Attributes:
        path: its folder.
    """

    path: Path

    @property
    def plan(self) -> PlanLike:
        """What was trained."""
        ...

    @property
    def metrics(self) -> pd.DataFrame:
        """A row per step and member: ``step``, ``member``, losses, accuracies."""
        ...

    @property
    def members(self) -> pd.DataFrame:
        """A row per member: its last measurements and its own settings."""
        ...

    def phases(
        self,
        threshold: float = 0.9,
        *,
        side: str | None = None,
        reached: str = "first",
        limit: int | None = None,
        gap: int = 1_000,
    ) -> pd.DataFrame:
        """When each member memorised and generalised, and its phase of learning; a row per member."""
        ...


def open_run(path: Path) -> RunLike:
    """The run in a folder, opened by the first of the registered openers that can.

    Args:
        path: the folder of a run.

    Returns:
        the run.

    Raises:
        MissingCapability: nothing that opens runs is installed.
        InterpError: the first opener's reason, where none can open this one.
    """
    reasons: list[InterpError] = []
    for plugin in load_group(GROUP).values():
        if plugin.error is not None:
            reasons.append(InterpError(plugin.error))
            continue
        try:
            return plugin.value(path)
        except InterpError as error:
            reasons.append(error)
    if not reasons:
        raise MissingCapability(
            f"{path}: no installed package opens runs (entry points {GROUP}); reinstall interp-suite, pip install -e ."
        )
    raise reasons[0]
