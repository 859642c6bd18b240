"""The page: one HTML file that opens offline, the verdict first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from interp.pictures import Picture
from interp.plugins.argument import Argument
from interp.plugins.outcome import Outcomes
from interp.plugins.result import Result, format_metric
from interp.report.data import argument_of, jsonable, picture_path, provenance, table_path
from interp.report.thumbnails import thumbnail
from interp.subject import Subject

ROWS_SHOWN = 12
LEADS_SHOWN = 2


def render(subject: Subject, outcomes: Outcomes) -> str:
    """The report as HTML; the template escapes all text that comes from files or plugins."""
    results = [o.result for o in outcomes.values() if o.result and o.result.lead]
    leads = [(r.lead, r.figures.get(r.lead) or r.pictures[r.lead]) for r in results if r.lead]
    sections = []
    for name, outcome in outcomes.items():
        shown = outcome.result.figures if outcome.result else {}
        figures = [figure_entry(f"{name}-{i}", label, figure) for i, (label, figure) in enumerate(shown.items())]
        pictures = [
            {"label": label, "file": picture_path(name, label), "uri": Markup(picture.data_uri())}
            for label, picture in (outcome.result.pictures if outcome.result else {}).items()
        ]
        tables = [
            {"label": label, "file": table_path(name, label), "rows": len(table), "html": table_html(table)}
            for label, table in (outcome.result.tables if outcome.result else {}).items()
        ]
        sections.append({"outcome": outcome, "figures": figures, "pictures": pictures, "tables": tables})
    argument = argument_of(subject, outcomes)
    return template("page.html.j2").render(
        subject=subject,
        argument=argument,
        thumbnails=thumbnails(argument, {name: one.result for name, one in outcomes.items() if one.result is not None}),
        verdict=verdict(outcomes),
        leads=[figure_entry(f"lead-{i}", label, figure) for i, (label, figure) in enumerate(leads[:LEADS_SHOWN])],
        headlines=[(n, o.result.headline) for n, o in outcomes.items() if o.result and o.result.headline],
        sections=[s for s in sections if s["outcome"].status == "ok"],
        failed=[o for o in outcomes.values() if o.status == "failed"],
        skipped=[o for o in outcomes.values() if o.status == "skipped"],
        provenance=flat(provenance(subject)),
        format_metric=format_metric,
        plotly_js=plotly_js(),
    )


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


def plotly_js() -> Markup:
    """The source of plotly.js, so that the page works offline."""
    return Markup(get_plotlyjs().replace("</script", "<\\/script"))


def figure_entry(name: str, label: str, figure: go.Figure | Picture) -> dict[str, Any]:
    """A figure or picture as the template `gallery` takes it."""
    if isinstance(figure, Picture):
        return {"id": f"picture-{name}", "label": label, "uri": Markup(figure.data_uri())}
    return {"id": f"figure-{name}", "label": label, "json": figure_json(figure)}


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


def figure_json(figure: go.Figure) -> Markup:
    """A figure's JSON, escaped so that no text in it can close the script element around it."""
    text = figure.to_json() or "{}"
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def table_html(table: pd.DataFrame, rows: int | None = ROWS_SHOWN) -> Markup:
    """The first rows of a table as HTML, or all of them; pandas escapes the cells."""
    shown = (table if rows is None else table.head(rows)).map(_cell)
    return Markup(shown.to_html(index=False, border=0, escape=True, na_rep="n/a"))


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "NaN" if value != value else format_metric(value)


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of dotted name and text; empty ones are left out."""
    rows = []
    for key, item in jsonable(value).items():
        if isinstance(item, dict):
            rows += flat(item, f"{prefix}{key}.")
        elif item not in (None, "", []):
            rows.append((prefix + key, ", ".join(map(str, item)) if isinstance(item, list) else str(item)))
    return rows
