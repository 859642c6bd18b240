"""Checkpoints of a run, one open at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from interp.errors import MissingCapability, require_range
from interp.subject import Subject


def positions_of(subject: Subject, every: int) -> list[int]:
    """Which checkpoints are evaluated.

    Args:
        subject: with a series of checkpoints.
        every: only every n-th, counting from the first, and the last.

    Returns:
        places in the series, in order.

    Raises:
        MissingCapability: the subject has no series.
        InterpError: ``every`` below 1.
    """
    require_range("every", every, 1)
    if subject.series is None or len(subject.series) < 2:
        raise MissingCapability(f"{subject.name}: {subject.lacks(['series'])[0]}")
    return sorted({*range(0, len(subject.series), every), len(subject.series) - 1})


def checkpoints(subject: Subject, every: int) -> Iterator[Subject]:
    """The subject at every chosen checkpoint of its series, one after another.

    Args:
        subject: with a series of checkpoints.
        every: as in `positions_of`.

    Yields:
        a subject of one checkpoint, without a series.
    """
    for position in positions_of(subject, every):
        yield at(subject, position)


def at(subject: Subject, position: int) -> Subject:
    """The subject at one checkpoint.

    Args:
        subject: with a series of checkpoints, or without: it is then its only one.
        position: of the checkpoint in the series; negative ones count from the end.

    Returns:
        a subject without a series.
    """
    if subject.series is None:
        return subject
    place = range(len(subject.series))[position]
    return replace(subject, model=subject.series[place], step=subject.series.steps[place], series=None)
