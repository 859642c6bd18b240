"""The machine-readable part of a report: ``result.json``, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from interp._util.csv_text import csv_text
from interp._util.versions import versions
from interp.plugins.argument import Argument
from interp.plugins.outcome import Outcomes
from interp.plugins.result import Result, table_file
from interp.subject import Subject

FORMAT = 1  # of result.json; raised when a reader of the old one would fail


def result_data(subject: Subject, outcomes: Outcomes, prefix: str = "") -> dict[str, Any]:
    """The contents of ``result.json``.

    Args:
        subject: what was analysed.
        outcomes: of its analyses.
        prefix: of the file names, where one folder holds the files of several subjects.

    Returns:
        Plain JSON values, with null for numbers that are not finite. Keys: ``interp_report`` (format version), ``subject``,
        ``provenance``, ``argument`` (``summary``, ``claims``, ``topics``, ``contradictions``), ``analyses``; per analysis
        ``status`` (``ok``, ``skipped`` with ``reason``, ``failed`` with ``error``), ``metrics``, ``headline``, ``verdict``,
        ``claims``, ``notes``, ``tables`` and ``pictures`` (file names) and ``context``.
    """
    parts: dict[str, Any] = {}
    for name, outcome in outcomes.items():
        part: dict[str, Any] = {"status": outcome.status, "summary": outcome.summary, "metrics": {}}
        if outcome.result is not None:
            found = outcome.result
            part |= {
                "headline": found.headline,
                "verdict": found.verdict,
                "claims": [asdict(claim) for claim in found.claims],
                "metrics": found.metrics,
                "notes": found.notes,
                "context": found.context,
            }
            part["tables"] = [table_path(prefix + name, table) for table in found.tables]
            part["pictures"] = [picture_path(prefix + name, picture) for picture in found.pictures]
        elif outcome.status == "skipped":
            part["reason"] = outcome.reason
        else:
            part["error"] = outcome.error
        parts[name] = part
    return jsonable(
        {
            "interp_report": FORMAT,
            "subject": {
                "name": subject.name,
                "model": type(subject.model).__name__,
                "config": subject.model.config.to_dict(),
                "parameters": sum(p.numel() for p in subject.model.parameters()),
                "task": None if subject.task is None else str(subject.task),  # a spec where it has one
                "step": subject.step,
                "steps": None if subject.series is None else subject.series.steps,
                "warnings": subject.warnings,
            },
            "provenance": provenance(subject),
            "argument": argument_of(subject, outcomes).to_dict(),
            "analyses": parts,
        }
    )


def argument_of(subject: Subject, outcomes: Outcomes) -> Argument:
    """What the analyses claim of a subject, and what could not be asked of it."""
    missing = []
    if subject.task is None:
        asked = [name for name, one in outcomes.items() if one.status == "skipped"]
        missing.append(
            "No task is known, so what the network computes, what is necessary for it and what suffices cannot be tested"
            + (f" ({len(asked)} analyses were skipped)" if asked else "")
            + ": name one with --task, or task= of interp.load. What stands below is what the weights alone show."
        )
    return replace(outcomes.argument, missing=tuple(missing))


def provenance(subject: Subject) -> dict[str, Any]:
    """Where a subject came from, and the versions of what analysed it."""
    return {**asdict(subject.provenance), "versions": versions()}


def write_files(folder: Path, owner: str, result: Result | None) -> None:
    """Write a result's tables and pictures into a report's folder, under the names that `result_data` lists."""
    for label, table in (result.tables if result else {}).items():
        (folder / table_path(owner, label)).write_text(csv_text(table), encoding="utf-8")
    for label, picture in (result.pictures if result else {}).items():
        picture.save(folder / picture_path(owner, label))


def table_path(analysis: str, label: str) -> str:
    """Path of a table's CSV file inside the report's folder.

    Args:
        analysis: name of the analysis, with its prefix.
        label: name of the table.

    Returns:
        A relative path with forward slashes.

    >>> table_path("frequencies", "by frequency")
    'tables/frequencies.by_frequency.csv'
    """
    return f"tables/{analysis}.{table_file(label)}.csv"


def picture_path(analysis: str, label: str) -> str:
    """Path of a picture's PNG file inside the report's folder.

    Args:
        analysis: name of the analysis, with its prefix.
        label: name of the picture.

    Returns:
        A relative path with forward slashes.

    >>> picture_path("feature_maps", "by layer")
    'pictures/feature_maps.by_layer.png'
    """
    return f"pictures/{analysis}.{table_file(label)}.png"


def jsonable(value: Any) -> Any:
    """Convert to plain JSON values.

    Args:
        value: anything.

    Returns:
        The same with numpy numbers unwrapped, NaN and infinity as None, and what JSON cannot hold as text.

    >>> jsonable({"a": (1, float("nan")), 2: np.float64(0.5)})
    {'a': [1, None], '2': 0.5}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [jsonable(v) for v in value]
    return str(value)
