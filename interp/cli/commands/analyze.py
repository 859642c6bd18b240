"""``interp analyze``: a report on a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from interp.cli.terminal import errors, escape
from interp.errors import UnknownLayout

if TYPE_CHECKING:
    from interp.subject import Subject


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

    Where the layout is unknown, and neither --layout nor --task is given, the weights alone are analysed.
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

    how = {"key": key, "step": step, "member": member, "device": device}
    guess = layout is None and task is None
    subject = _weights_at_least(source, how) if guess else load(source, task=task, layout=layout, **how)
    require_applicable(subject, names)
    report(subject, request)


def _weights_at_least(source: Path, how: dict[str, Any]) -> Subject:
    """The network; where its layout is unknown its tensors, after a word on the ways on."""
    from interp.checkpoints import load

    try:
        return load(source, **how)
    except UnknownLayout as error:
        subject = load(source, layout="tensors", **how)
        errors().print(escape(str(error).partition("\nThe tensors are:")[0]))
        return subject
