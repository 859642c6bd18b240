"""The page: one HTML file that opens offline, the verdict first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup

from interp.plugins.analysis import analyses
from interp.plugins.argument import Argument
from interp.plugins.claim import QUESTIONS, Question
from interp.plugins.outcome import Outcome, Outcomes
from interp.plugins.result import Result, format_metric
from interp.report import figures
from interp.report.compact import figure_json, script_safe, trace_types
from interp.report.data import argument_of, jsonable, picture_path, provenance, table_path
from interp.report.images import picture_entry
from interp.report.made import how_made
from interp.report.plotly_js import plotly_js
from interp.report.tables import table_data, table_entry
from interp.report.thumbnails import thumbnail
from interp.subject import Subject

WIDE = 16  # names in a legend from which on a figure takes the whole width


def render(subject: Subject, outcomes: Outcomes) -> str:
    """The report as HTML; the template escapes all text that comes from files or plugins."""
    sections = [_section(subject, name, o, o.result) for name, o in outcomes.items() if o.result]
    grouped, argument = groups(sections), argument_of(subject, outcomes)
    return template("page.html.j2").render(
        subject=subject,
        argument=argument,
        thumbnails=thumbnails(argument, {name: one.result for name, one in outcomes.items() if one.result is not None}),
        entries=contents(grouped, argument),
        verdict=verdict(outcomes),
        groups=grouped,
        questions=QUESTIONS,
        failed=[o for o in outcomes.values() if o.status == "failed"],
        skipped=[o for o in outcomes.values() if o.status == "skipped"],
        stopped=[o.name for o in outcomes.values() if o.status == "stopped"],
        provenance=flat(provenance(subject)),
        format_metric=format_metric,
        **parts(o.result for o in outcomes.values() if o.result),
        table_data=table_data([table for s in sections for table in s["tables"]]),
    )


def _section(subject: Subject, name: str, outcome: Outcome, result: Result) -> dict[str, Any]:
    """What the template shows of an analysis; its leading figure or picture stands first."""
    return {
        "outcome": outcome,
        "result": result,
        "figures": figure_entries(name, result),
        "pictures": [
            picture_entry(label, picture_path(name, label), picture)
            for label, picture in _first(result.pictures, result.lead)
        ],
        "tables": [
            table_entry(f"table-{name}-{i}", label, table_path(name, label), table)
            for i, (label, table) in enumerate(result.tables.items())
        ],
        "made": how_made(subject, name, result.context),
    }


Group = tuple[Question, list[dict[str, Any]]]


def groups(sections: list[dict[str, Any]]) -> list[Group]:
    """Sections under the questions that they answer, in the order of the questions."""
    known = analyses()[0]
    found: dict[Question, list[dict[str, Any]]] = {question: [] for question in QUESTIONS}
    for section in sections:
        one = known.get(section["outcome"].name)
        found[one.question if one else "else"].append(section)
    return [(question, own) for question, own in found.items() if own]


def contents(grouped: list[Group], argument: Argument) -> list[tuple[str, str, int]]:
    """Id, label and level of every entry of the contents."""
    entries = [("argument" if argument.points or argument.missing else "top", "Summary", 1)]
    for question, sections in grouped:
        entries += [(f"question-{question}", QUESTIONS[question], 1)]
        entries += [(s["outcome"].name, s["outcome"].name, 2) for s in sections]
    return [*entries, ("skipped", "Skipped and failed", 1), ("provenance", "Provenance", 1)]


def figure_entries(name: str, result: Result) -> list[dict[str, Any]]:
    """The figures of a result as the template `gallery` takes them."""
    shown = _first(result.figures, result.lead)
    return [figure_entry(f"{name}-{i}", label, figure) for i, (label, figure) in enumerate(shown)]


def figure_entry(name: str, label: str, figure: go.Figure) -> dict[str, Any]:
    """A figure as the template `gallery` takes it: its data, its title and what it shows in words."""
    title = str(figure.layout.title.text or label)  # pyright: ignore[reportAttributeAccessIssue]
    named = sum(bool(trace.name) and trace.showlegend is not False for trace in figures.traces(figure))
    asked = isinstance(figure.layout.meta, Mapping) and bool(figure.layout.meta.get("wide"))
    wide = asked or named > WIDE
    return {
        "id": f"figure-{name}", "label": label, "title": title, "wide": wide, "words": in_words(label, figure),
        "json": figure_json(figure),
    }  # fmt: skip


def in_words(label: str, figure: go.Figure) -> str:
    """What a reader who does not see a figure needs to know of it: axes, and the names of what is drawn."""
    layout = figure.layout
    axes = [(side, getattr(getattr(layout, f"{side}axis").title, "text", None)) for side in ("x", "y")]
    named = [f"{side} axis: {text}" for side, text in axes if text]
    names = list(dict.fromkeys(str(trace.name) for trace in figures.traces(figure) if getattr(trace, "name", None)))
    drawn = [f"shows {', '.join(names[:12])}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")]
    return "; ".join([label, *named, *(drawn if names else [])])


def _first(shown: Mapping[str, Any], lead: str | None) -> list[tuple[str, Any]]:
    """Names and values, those of the leading name first."""
    return sorted(shown.items(), key=lambda item: item[0] != lead)


def parts(results: Iterable[Result]) -> dict[str, Any]:
    """What every page with figures needs: plotly.js, as much of it as they use, and one template for all of them."""
    types = {kind for result in results for figure in result.figures.values() for kind in trace_types(figure)}
    return {"plotly_js": plotly_js(types), "figure_template": script_safe(json.dumps(figures.TEMPLATE))}


def thumbnails(argument: Argument, results: Mapping[str, Result]) -> dict[tuple[str, str | None], Markup]:
    """The small picture of every claim that names a figure, by analysis and figure."""
    found = {}
    for point in argument.points:
        result, name = results[point.analysis], point.claim.figure
        if name is not None:
            found[point.analysis, name] = thumbnail(result.figures.get(name) or result.pictures[name])
    return found


def template(name: str) -> jinja2.Template:
    """A template of this package; it escapes every text put into it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("interp.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)


def verdict(outcomes: Outcomes) -> list[tuple[str, str]]:
    """The lines that a reader wants first, as the analyses declare them (`Result.verdict`).

    Args:
        outcomes: of one subject.

    Returns:
        Pairs of label and text, in report order. A line that two analyses declare alike is shown once; where they give one
        label different texts, the later one is shown with the name of its analysis.
    """
    lines: dict[str, str] = {}
    for name, outcome in outcomes.items():
        for label, text in outcome.result.verdict if outcome.result else ():
            if lines.setdefault(label, text) != text:
                lines[f"{label} ({name})"] = text
    return list(lines.items())


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of dotted name and text; empty ones are left out."""
    rows = []
    for key, item in jsonable(value).items():
        if isinstance(item, dict):
            rows += flat(item, f"{prefix}{key}.")
        elif item not in (None, "", []):
            rows.append((prefix + key, ", ".join(map(str, item)) if isinstance(item, list) else str(item)))
    return rows
