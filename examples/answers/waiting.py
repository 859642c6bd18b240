"""Why a claim was not run: the runs that it waits for, and what they cost."""

from __future__ import annotations

from functools import cache

from long_runs.steps import Step, steps

every = cache(steps)


class NotRun(LookupError):
    """The runs that an answer waits for.

    Args:
        names: as `waits` takes them.
    """

    def __init__(self, *names: str) -> None:
        super().__init__(waits(*names))


def waits(*names: str) -> str:
    """In words.

    Args:
        names: runs of long_runs/evidence; or what the names of several begin with, up to a ``_``: ``mnist_sizes`` of
            ``mnist_sizes_seed0`` to ``mnist_sizes_seed2``.
    """
    found = [step for name in names for step in _named(name)]
    minutes = sum(step.minutes for step in found)
    runs, took = f"run{'s' * (len(found) > 1)}", f"{minutes:,.0f} minute{'s' * (minutes != 1)}"
    return f"Waits for the {runs} {', '.join(names)} (make evidence): about {took} of a core"


def _named(name: str) -> list[Step]:
    if name in every():
        return [every()[name]]
    found = [step for step in every().values() if step.kind == "runs" and step.name.startswith(f"{name}_")]
    if not found:
        raise KeyError(f"no run is called {name}, or begins so")
    return found
