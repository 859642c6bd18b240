"""``interp analyze``: a report on a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli.completion import analysis_names
from interp.cli.failures import hold
from interp.cli.options import (
    Device,
    Dtype,
    Every,
    Example,
    ExecutorOption,
    Explain,
    Force,
    Json,
    Key,
    LayoutOption,
    Log,
    Member,
    ModuleArgs,
    ModuleOption,
    Out,
    Quiet,
    Seed,
    Settings,
    Source,
    Step,
    Task,
    Verbose,
    check_names,
    parse_names,
    parse_settings,
    shared_options,
    usually,
)  # fmt: skip
from interp.cli.reporting import Request, report, require_applicable
from interp.cli.saying import Saying
from interp.cli.terminal import errors, escape
from interp.errors import InterpError, UnknownLayout

if TYPE_CHECKING:
    from interp.subject import Subject


def analyze(
    source: Source,
    out: Out = Path("report"),
    only: Annotated[
        str | None,
        typer.Option(
            help=usually("Analyses to run, with commas; see interp analyses.", "all that apply"),
            autocompletion=analysis_names,
            show_default=False,
        ),
    ] = None,
    set_: Settings = None,
    task: Task = None,
    layout: LayoutOption = None,
    module: ModuleOption = None,
    module_args: ModuleArgs = None,
    example: Example = None,
    key: Key = None,
    step: Step = None,
    member: Member = 0,
    device: Device = "auto",
    dtype: Dtype = "float64",
    seed: Seed = 0,
    every: Every = None,
    executor: ExecutorOption = None,
    explain: Explain = False,
    log: Log = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run every analysis that applies and write a report: OUT/index.html, OUT/result.json, OUT/tables.

    Where the layout is unknown, and none of --layout, --module and --task is given, the weights alone are analysed.
    After Ctrl-C the report holds what is done, and the same command goes on.

    Exit code 1: the report is written, and an analysis failed. 2: nothing is written; the message says why. 130: Ctrl-C.
    """
    from interp.report import reserved
    from interp.report.loggers import check_tool

    saying = Saying.of(quiet=quiet, verbose=verbose, as_json=json)
    hold(reserved(out, force=force))
    names, options = parse_names(only), parse_settings(set_ or [])
    check_names(names, options)
    if log is not None:
        check_tool(log)
    shared = shared_options(names, every=every, executor=executor)
    from interp.checkpoints import load
    from interp.checkpoints.loading import resolve_dtype

    request = Request(out, names, options, resolve_dtype(dtype), seed, force, shared, explain, log)

    how = {"key": key, "step": step, "member": member, "device": device}
    if module is not None or module_args is not None or example is not None:
        others = {"--layout": layout, "--step": step, "--member": member or None}
        subject = _of_a_class(source, module, module_args, example, others, task=task, key=key, device=device)
    elif layout is None and task is None:
        subject = _weights_at_least(source, how)
    else:
        subject = load(source, task=task, layout=layout, **how)
    require_applicable([subject], names)
    report(subject, request, saying)


def _of_a_class(
    source: Path, module: str | None, kwargs: str | None, example: str | None, others: dict[str, Any], **how: Any
) -> Subject:
    """The user's own class with the file's weights; it is imported from the current folder first."""
    from interp.checkpoints.rebuilt_subject import load_rebuilt

    if module is None:
        raise InterpError("--module-args and --example are about the class that --module names; give --module")
    if clash := [name for name, value in others.items() if value is not None]:
        raise InterpError(f"--module reads one file of weights into your class; leave out {', '.join(clash)}")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return load_rebuilt(source, module, example=example, kwargs=kwargs, **how)
    finally:
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)  # last, so that a folder here hides no package of ours that is imported later


def _weights_at_least(source: Path, how: dict[str, Any]) -> Subject:
    """The network; where its layout is unknown its tensors, after a word on the ways on."""
    from interp.checkpoints import load

    try:
        return load(source, **how)
    except UnknownLayout as error:
        subject = load(source, layout="tensors", **how)
        errors().print(escape(str(error).partition("\nThe tensors are:")[0]))
        return subject
