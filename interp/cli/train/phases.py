"""The phases of learning at the end of ``interp train``: what counts as reached, and the line that is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.training.run import Run

PHASE_OPTIONS: dict[str, tuple[type, str]] = {  # arguments of `Run.phases`; they change what is printed, not the run
    "phase_threshold": (float, "Accuracy to be reached; 0.9."),
    "phase_side": (str, "'>' or '>=' (quote it); by default both, and where they differ the phase is undecided."),
    "phase_reached": (str, "first (measured step), the default, or for_good (until the end of the training)."),
    "phase_limit": (int, "Steps within which it must be reached; 100000 in Liu et al. 2022. By default the run's own."),
    "phase_gap": (int, "Steps from memorising to generalising from which on it is grokking; 1000."),
}
MEANING = {
    "tie": "> and >= differ",
    "short": "trained too short to tell",
    "not measured": "no accuracy was measured",
    "split": "the split allows no more",
}


def phase_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Run.phases` as typed.

    Args:
        given: the values of the command's options, by name.

    Returns:
        those that were typed.

    Raises:
        InterpError: values that do not fit.
    """
    import pandas as pd

    from interp.training.phases import phases

    typed = {name.removeprefix("phase_"): given.get(name) for name in PHASE_OPTIONS}
    typed = {name: value for name, value in typed.items() if value is not None}
    phases(pd.DataFrame(columns=["step", "member"]), **typed)  # what is wrong must show before the training
    return typed


def phases_line(run: Run, settings: Mapping[str, Any]) -> str:
    """How many members are in which phase, by which definition, and why those that could be another are not.

    Args:
        run: with accuracies.
        settings: arguments of `Run.phases`.

    Returns:
        one line.
    """
    found = run.phases(**settings)
    at = found.attrs
    side = "on both sides" if at["side"] == "both" else f"by {at['side']}"
    good = " for good" if at["reached"] == "for_good" else ""
    counts = ", ".join(f"{n} {name}" for name, n in found["phase"].value_counts().items())
    reasons = found.loc[found["why"] != "", ["phase", "why"]].value_counts()
    why = "".join(f"; {n} {name}: {MEANING[reason]}" for (name, reason), n in reasons.items())  # pyright: ignore[reportGeneralTypeIssues]  a pair
    return f"Phases (threshold {at['threshold']:g} {side}, reached{good} within {at['steps']:,} steps): {counts}{why}"
