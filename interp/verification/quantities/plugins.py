"""Quantities that the suite's measures and analyses give: any number in any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from interp._util.schema import short
from interp.errors import InterpError, UnknownName, unknown
from interp.plugins.analysis import analyses
from interp.plugins.measure import choose
from interp.plugins.result import Result
from interp.verification.material import Material
from interp.verification.quantity import quantity
from interp.verification.selected import cell, rows_where

Table = Mapping[str, Any] | None


@quantity("measure", summary="a measure of the suite (interp measures)", order=40)
def measure(material: Material, *, measure: str, at: str = "", settings: Table = None) -> Any:
    """A measure's value where it holds.

    Args:
        material: a network.
        measure: its name.
        at: where it holds, such as ``train`` or ``W_E frequency 23``; empty for all places, as a table.
        settings: options of the measure.

    Returns:
        the value, or the values by place.

    Raises:
        UnknownName: no such measure or place.
        InterpError: several measures.
    """
    chosen = choose(measure)
    if len(chosen) != 1:
        raise InterpError(f"measure must name one measure, got {short(measure)}")
    found = material.share(
        ("measure", measure, repr(settings)), lambda: chosen[measure](material.snapshot, **(settings or {}))
    )
    if at:
        if at not in found:
            raise UnknownName(unknown(f"place of the measure {measure}", at, found))
        return found[at]
    return found[""] if list(found) == [""] else found


@quantity("analysis", summary="a metric, or a cell of a table, of an analysis of the suite (interp analyses)", order=41)
def analysis(
    material: Material, *, analysis: str, metric: str = "", table: str = "", row: Table = None, column: str = "",
    settings: Table = None,
) -> Any:  # fmt: skip
    """A metric of an analysis, or of one of its tables a cell, or the number of rows.

    Args:
        material: a network.
        analysis: its name.
        metric: of its result.
        table: of its result, instead of a metric.
        row: which rows, by the values of columns.
        column: of the cell; without it the rows are counted.
        settings: options of the analysis.

    Returns:
        the value.

    Raises:
        UnknownName: no such analysis, metric, table or column.
        InterpError: a metric and a table, or neither; a row or column of a metric.
    """
    if bool(metric) == bool(table) or (metric and (row or column)):
        raise InterpError(
            "an analysis gives a metric or a cell of a table: give metric = ..., or table = ... with row and column"
        )
    result = material.share(("analysis", analysis, repr(settings)), lambda: _result(material, analysis, settings))
    if metric:
        if metric not in result.metrics:
            raise UnknownName(unknown(f"metric of {analysis}", metric, result.metrics))
        return result.metrics[metric]
    if table not in result.tables:
        raise UnknownName(unknown(f"table of {analysis}", table, result.tables))
    return cell(result.tables[table], row, column) if column else len(rows_where(result.tables[table], row))


def _result(material: Material, name: str, settings: Table) -> Result:
    known, broken = analyses()
    if name not in known:
        raise UnknownName(unknown("analysis", name, [*known, *broken]))
    subject = material.subject.cast()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # as `interp.analyze` does by default
        return known[name](subject, **(settings or {}))
