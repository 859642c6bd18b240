"""Figures in a static page, in a real browser without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

import interp
from interp.notebook.show import as_html
from tests.interp.report import chromium

BROWSER = chromium.find()
COUNT = """<script>addEventListener("load", () => setTimeout(() => {
  const plots = [...document.querySelectorAll(".js-plotly-plot")];
  const drawn = plots.map(p => p._fullData.length + p.querySelectorAll(".main-svg").length);
  document.documentElement.setAttribute("data-drawn", drawn.join(" "));
}, 6000));</script>"""


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_figures_draw_themselves_without_a_network(tmp_path: Path) -> None:
    """Both of them, by the plotly.js that the first carries; beside a loader of modules, as nbconvert has one."""
    evil = "</script><img src=x onerror=console.error(1)>"
    figures = [interp.figures.bars([1, 2], [3.0, 4.0], title=t, x_title="x", y_title="y") for t in ("one", evil)]
    loader = "<script>window.define = () => { throw 1 }; define.amd = {};</script>"
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html><meta charset=utf8><body>{loader}{as_html(figures)}{COUNT}</body></html>")
    assert BROWSER is not None
    seen = chromium.visit(BROWSER, page, tmp_path / "scratch")
    assert seen.attributes["data-drawn"].split() == ["4", "4"]  # a trace and three layers each
    assert [a for a in seen.requests if not a.startswith(("file:", "data:", "blob:"))] == []
    assert [line for line in seen.console if "Uncaught" in line or "error" in line.lower()] == []
