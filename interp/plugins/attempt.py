"""One attempt at an analysis: an error of its own is its outcome, not the report's end."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from interp._util.threads import few_threads
from interp._util.versions import versions
from interp.errors import InterpError, MissingCapability
from interp.plugins.guard import left_alone
from interp.plugins.outcome import Outcome
from interp.plugins.result import Result, check_result
from interp.subject import Subject

MEDDLED = (
    "it changed {} in place; that is put back, since the other analyses use the same network and task. Work on "
    "copy.deepcopy(subject.model), or on a clone of the tensor, or use circuits.applied, which undoes itself"
)


class Named(Protocol):
    """What `attempted` needs of an analysis."""

    @property
    def name(self) -> str:
        """As typed."""
        ...

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        ...


def attempted(
    one: Named, call: Callable[[], Result], subjects: Sequence[Subject], seed: int, *, blamed: bool
) -> Outcome:
    """What becomes of an analysis: its result, or why there is none.

    Args:
        one: the analysis.
        call: computes its result.
        subjects: the networks that it runs on.
        seed: of the global generators.
        blamed: raise an InterpError, since it is about the user's own options.

    Returns:
        The outcome.

    Raises:
        InterpError: with ``blamed``.
    """
    torch.manual_seed(seed)
    try:
        with (
            few_threads(max(sum(p.numel() for p in s.model.parameters()) for s in subjects)),
            left_alone(subjects) as changed,
        ):
            result = call()
        check_result(result)
    except MissingCapability as reason:  # found only while running
        return Outcome(one.name, "skipped", one.summary, reason=str(reason))
    except InterpError as error:
        if blamed:  # and the user should learn so at once
            raise type(error)(f"{one.name}: {error}") from error
        return Outcome(one.name, "failed", one.summary, error=str(error))
    except (Exception, SystemExit) as error:  # isolation: a plugin's failure is one red line of the report
        message = f"{type(error).__name__}: {error}"
        return Outcome(one.name, "failed", one.summary, error=message, detail=traceback.format_exc())
    if changed:
        return Outcome(one.name, "failed", one.summary, error=MEDDLED.format(", ".join(changed)))
    return Outcome(one.name, "ok", one.summary, result=result)


def context_of(subjects: Sequence[Subject], parsed: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What a result depends on, as it is stored with it.

    Args:
        subjects: the networks.
        parsed: all options.
        seed: of the global generators.

    Returns:
        Options, dtype, device, seed, digest of the checkpoint (of several networks a list) and versions.
    """
    digests, model = [s.provenance.sha256 for s in subjects], subjects[0].model
    return {
        "options": dict(parsed),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "seed": seed,
        "checkpoint": digests[0] if len(digests) == 1 else digests,
        "versions": versions(),
    }
