"""The page itself: one HTML file that opens offline, the verdict first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from interp.pictures import Picture
from interp.plugins.analysis import Outcomes
from interp.plugins.result import format_metric
from interp.report.data import jsonable, picture_path, table_path
from interp.subject import Subject

ROWS_SHOWN = 12
LEADS_SHOWN = 2

# what the verdict shows, in this order: label, metric, the analyses that it is taken from, and how the number reads
VERDICT: tuple[tuple[str, str, tuple[str, ...], Callable[[dict[str, Any]], str]], ...] = (
    ("right answers", "correct", ("performance",), lambda m: f"{m['correct']:,} of {m['total']:,}"),
    ("train loss", "train_loss", ("performance",), lambda m: format_metric(m["train_loss"])),
    ("test loss", "test_loss", ("performance",), lambda m: format_metric(m["test_loss"])),
    ("key frequencies", "key_frequencies", ("fourier", "frequencies"), lambda m: format_metric(m["key_frequencies"])),
    (
        "logits explained by a + b",
        "logit_variance_explained",
        ("fourier",),
        lambda m: f"{m['logit_variance_explained']:.1%}",
    ),
    ("restricted loss", "restricted_loss", ("frequencies",), lambda m: format_metric(m["restricted_loss"])),
    ("excluded loss", "excluded_loss", ("frequencies",), lambda m: format_metric(m["excluded_loss"])),
)


def render(subject: Subject, outcomes: Outcomes, data: dict[str, Any]) -> str:
    """The report as HTML. All text that comes from files or plugins is escaped by the template."""
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
    return template("page.html.j2").render(
        subject=subject,
        verdict=verdict(outcomes),
        leads=[figure_entry(f"lead-{i}", label, figure) for i, (label, figure) in enumerate(leads[:LEADS_SHOWN])],
        headlines=[(n, o.result.headline) for n, o in outcomes.items() if o.result and o.result.headline],
        sections=[s for s in sections if s["outcome"].status == "ok"],
        failed=[o for o in outcomes.values() if o.status == "failed"],
        skipped=[o for o in outcomes.values() if o.status == "skipped"],
        provenance=flat(data["provenance"]),
        format_metric=format_metric,
        plotly_js=plotly_js(),
    )


def template(name: str) -> jinja2.Template:
    """A template of this package, which escapes what is put into it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("interp.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)


def plotly_js() -> Markup:
    """Plotly itself, so that the page needs nothing else."""
    return Markup(get_plotlyjs().replace("</script", "<\\/script"))


def figure_entry(name: str, label: str, figure: go.Figure | Picture) -> dict[str, Any]:
    if isinstance(figure, Picture):
        return {"id": f"picture-{name}", "label": label, "uri": Markup(figure.data_uri())}
    return {"id": f"figure-{name}", "label": label, "json": figure_json(figure)}


def verdict(outcomes: Outcomes) -> list[tuple[str, str]]:
    """Label and text of the numbers that a reader wants first, as far as the analyses found them."""
    shown = []
    for label, key, owners, text in VERDICT:
        results = (outcomes[name].result for name in owners if name in outcomes)
        metrics = next((r.metrics for r in results if r is not None and r.metrics.get(key) is not None), None)
        if metrics is not None:
            value = metrics[key]
            broken = isinstance(value, float) and not math.isfinite(value)
            shown.append((label, "not a number" if broken else text(metrics)))
    return shown


def figure_json(figure: go.Figure) -> Markup:
    """A figure's JSON, safe inside a script element: no text in it can close the element."""
    text = figure.to_json() or "{}"
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def table_html(table: pd.DataFrame, rows: int | None = ROWS_SHOWN) -> Markup:
    """The first rows of a table, or all; pandas escapes its cells."""
    shown = (table if rows is None else table.head(rows)).map(lambda v: format_metric(v) if isinstance(v, float) else v)
    return Markup(shown.to_html(index=False, border=0, escape=True, na_rep="n/a"))


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, item in jsonable(value).items():
        if isinstance(item, dict):
            rows += flat(item, f"{prefix}{key}.")
        elif item not in (None, "", []):
            rows.append((prefix + key, ", ".join(map(str, item)) if isinstance(item, list) else str(item)))
    return rows
