"""Why a claim was not run: the runs that it waits for, and what they cost."""

from __future__ import annotations

from functools import cache

from long_runs.steps import Step, steps

every = cache(steps)


def waits(*names: str) -> str:
    """In words.

    Args:
        names: runs of long_runs/evidence; or what the names of several begin with, up to a ``_``: ``mnist_sizes`` of
            ``mnist_sizes_seed0`` to ``mnist_sizes_seed2``.
    """
    minutes = sum(step.minutes for name in names for step in _named(name))
    return f"Waits for the runs {', '.join(names)} (make evidence): about {minutes:,.0f} minutes of a core"


def _named(name: str) -> list[Step]:
    if name in every():
        return [every()[name]]
    found = [step for step in every().values() if step.kind == "runs" and step.name.startswith(f"{name}_")]
    if not found:
        raise KeyError(f"no run is called {name}, or begins so")
    return found
