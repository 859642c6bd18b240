"""The report of a comparison: one offline page, with ``result.json``, tables and pictures beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from interp._util.versions import versions
from interp.plugins.result import Result
from interp.report.comparison import Comparison
from interp.report.data import jsonable, picture_path, result_data, table_path, write_files
from interp.report.images import picture_entry
from interp.report.page import figure_entries, flat, parts, template, thumbnails
from interp.report.tables import table_data, table_entry, table_html

FORMAT = 1  # of a comparison's result.json
ROWS = 24  # shown of a comparison's table
SMALL = 400  # pixels up to which pictures stand on the first screen


def comparison_data(found: Comparison) -> dict[str, Any]:
    """The contents of a comparison's ``result.json``.

    Args:
        found: the comparison.

    Returns:
        Plain JSON values: ``interp_comparison`` (format version), ``versions``, ``subjects`` and ``comparisons``. A subject
        has every metric of its analyses by name (from the first analysis that has it), and ``analyses`` and ``provenance``
        as in the report on one checkpoint. A comparison has its headline, metrics, notes, tables and pictures (file names).
    """
    subjects = {}
    for name, subject in found.subjects.items():
        own = result_data(subject, found.outcomes[name], _prefix(found, name))
        metrics: dict[str, Any] = {}
        for part in own["analyses"].values():
            metrics = {**part["metrics"], **metrics}
        subjects[name] = {**metrics, **own}
    comparisons: dict[str, dict[str, Any]] = {
        name: {
            "status": "ok",
            "headline": r.headline,
            "metrics": r.metrics,
            "claims": [asdict(claim) for claim in r.claims],
            "notes": r.notes,
            "tables": [table_path(name, t) for t in r.tables],
            "pictures": [picture_path(name, p) for p in r.pictures],
        }
        for name, r in found.together.items()
    }
    comparisons |= {name: {"status": "failed", "error": reason} for name, reason in found.failed.items()}
    comparisons |= {name: {"status": "skipped", "reason": reason} for name, reason in found.skipped.items()}
    return jsonable(
        {
            "interp_comparison": FORMAT,
            "versions": versions(),
            "argument": found.argument.to_dict(),
            "subjects": subjects,
            "comparisons": comparisons,
        }
    )


def fill(folder: Path, found: Comparison) -> None:
    """Write a comparison's files into a folder with the sub-folders ``tables`` and ``pictures``."""
    data = comparison_data(found)
    for name, result in found.together.items():
        write_files(folder, name, result)
    for name, outcomes in found.outcomes.items():
        for analysis, outcome in outcomes.items():
            write_files(folder, _prefix(found, name) + analysis, outcome.result)
    (folder / "result.json").write_text(json.dumps(data, indent=2, allow_nan=False), encoding="utf-8")
    (folder / "index.html").write_text(render(found), encoding="utf-8")


def render(found: Comparison) -> str:
    """The page as HTML; the template escapes all text."""
    together = [(name, _shown(name, r)) for name, r in found.together.items()]
    failed = [
        (f"{n}, {a}", o.error) for n, outs in found.outcomes.items() for a, o in outs.items() if o.status == "failed"
    ]
    pictures = _beside(found)
    argument = found.argument
    return template("comparison.html.j2").render(
        argument=argument,
        thumbnails=thumbnails(argument, found.together),
        title=found.title,
        small=SMALL,
        entries=_contents(list(found.together), pictures, metrics=bool(len(found.scores))),
        failed=[*failed, *found.failed.items(), *found.skipped.items()],
        warnings=[f"{n}: {w}" for n, s in found.subjects.items() for w in s.warnings],
        together=together,
        pictures=pictures,
        scores=table_html(found.scores, rows=None) if len(found.scores) else "",
        tables=_files(found),
        provenance=flat({n: asdict(s.provenance) for n, s in found.subjects.items()}),
        **parts(found.together.values()),
        table_data=table_data([table for _, shown in together for table in shown["tables"]]),
    )


def _shown(name: str, result: Result) -> dict[str, Any]:
    return {
        "headline": result.headline,
        "notes": result.notes,
        "tables": [
            table_entry(f"table-{name}-{i}", label, table_path(name, label), table, rows=ROWS)
            for i, (label, table) in enumerate(result.tables.items())
        ],
        "figures": figure_entries(name, result),
    }


def _contents(
    names: list[str], pictures: list[tuple[str, list[dict[str, Any]]]], *, metrics: bool
) -> list[tuple[str, str, int]]:
    """Id, label and level of every entry of the contents."""
    large = any(tiles[0]["width"] > SMALL for _, tiles in pictures)
    return [
        ("top", "Summary", 1), *(("verdict", "Verdict", 1) for _ in names[:1]), *((n, n, 1) for n in names),
        *([("side-by-side", "Side by side", 1)] if large else []), *([("metrics", "All metrics", 1)] if metrics else []),
        ("provenance", "Provenance", 1),
    ]  # fmt: skip


def _files(found: Comparison) -> list[tuple[str, list[tuple[str, str]]]]:
    """The CSV files of every network's own tables."""
    return [
        (name, [
            (f"{analysis}: {label}", table_path(_prefix(found, name) + analysis, label))
            for analysis, outcome in outcomes.items() if outcome.result for label in outcome.result.tables
        ])
        for name, outcomes in found.outcomes.items()
    ]  # fmt: skip


def _beside(found: Comparison) -> list[tuple[str, list[dict[str, Any]]]]:
    """Every picture's name, with the pictures that the subjects have under it."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, outcomes in found.outcomes.items():
        for analysis, outcome in outcomes.items():
            for label, picture in (outcome.result.pictures if outcome.result else {}).items():
                path = picture_path(_prefix(found, name) + analysis, label)
                tile = picture_entry(label, path, picture) | {"name": name}
                rows.setdefault((analysis, label), []).append(tile)
    return [(label, tiles) for (_, label), tiles in rows.items()]


def _prefix(found: Comparison, name: str) -> str:
    """The first part of a subject's file names: its place in the comparison."""
    return f"{list(found.subjects).index(name)}."
