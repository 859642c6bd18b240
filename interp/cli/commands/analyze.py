"""``interp analyze``: a report on a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.cli.failures import hold
from interp.cli.options import (
    Device,
    Dtype,
    Every,
    ExecutorOption,
    Force,
    Key,
    LayoutOption,
    Member,
    Out,
    Seed,
    Settings,
    Source,
    Step,
    Task,
    check_names,
    parse_names,
    parse_settings,
    shared_options,
)  # fmt: skip
from interp.cli.reporting import Request, report, require_applicable


def analyze(
    source: Source,
    out: Out = Path("report"),
    only: Annotated[
        str | None,
        typer.Option(help="Analyses to run, with commas; see interp analyses.", show_default="all that apply"),
    ] = None,
    set_: Settings = None,
    task: Task = None,
    layout: LayoutOption = None,
    key: Key = None,
    step: Step = None,
    member: Member = 0,
    device: Device = "auto",
    dtype: Dtype = "float64",
    seed: Seed = 0,
    every: Every = None,
    executor: ExecutorOption = None,
    force: Force = False,
) -> None:
    """Run every analysis that applies and write a report: OUT/index.html, OUT/result.json, OUT/tables.

    Exit code 1: the report is written, and an analysis failed. 2: nothing is written; the message says why.
    """
    from interp.report import reserved

    hold(reserved(out, force=force))
    names, options = parse_names(only), parse_settings(set_ or [])
    check_names(names, options)
    shared = shared_options(names, every=every, executor=executor)
    from interp.checkpoints import load
    from interp.checkpoints.loading import resolve_dtype

    request = Request(out, names, options, resolve_dtype(dtype), seed, force, shared)
    subject = load(source, task=task, layout=layout, key=key, step=step, member=member, device=device)
    require_applicable(subject, names)
    report(subject, request)
