"""The report of a comparison: one offline page, with ``result.json``, tables and pictures beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from interp._util.versions import versions
from interp.plugins.result import Result
from interp.report.comparison import Comparison
from interp.report.data import jsonable, picture_path, result_data, table_path, write_files
from interp.report.page import figure_entry, flat, plotly_js, table_html, template, thumbnails

FORMAT = 1  # of a comparison's result.json
ROWS = 60  # shown of a comparison's table


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
    argument = found.argument
    return template("comparison.html.j2").render(
        argument=argument,
        thumbnails=thumbnails(argument, found.together),
        names=list(found.subjects),
        failed=[*failed, *found.failed.items()],
        warnings=[f"{n}: {w}" for n, s in found.subjects.items() for w in s.warnings],
        together=together,
        pictures=_beside(found),
        scores=table_html(found.scores, rows=None),
        provenance=flat({n: asdict(s.provenance) for n, s in found.subjects.items()}),
        plotly_js=plotly_js(),
    )


def _shown(name: str, result: Result) -> dict[str, Any]:
    return {
        "headline": result.headline,
        "notes": result.notes,
        "tables": [(label, table_html(table, rows=ROWS)) for label, table in result.tables.items()],
        "figures": [figure_entry(f"{name}-{i}", label, f) for i, (label, f) in enumerate(result.figures.items())],
    }


def _beside(found: Comparison) -> list[tuple[str, list[dict[str, Any]]]]:
    """Every picture's name, with the pictures that the subjects have under it."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, outcomes in found.outcomes.items():
        for analysis, outcome in outcomes.items():
            for label, picture in (outcome.result.pictures if outcome.result else {}).items():
                path = picture_path(_prefix(found, name) + analysis, label)
                tile = {"name": name, "file": path, "uri": Markup(picture.data_uri())}
                rows.setdefault((analysis, label), []).append(tile)
    return [(label, tiles) for (_, label), tiles in rows.items()]


def _prefix(found: Comparison, name: str) -> str:
    """The first part of a subject's file names: its place in the comparison."""
    return f"{list(found.subjects).index(name)}."
