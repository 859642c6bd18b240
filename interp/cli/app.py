"""Commands of ``interp``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli.comparing import parse_span, show_comparison
from interp.cli.failures import escape, fail, interruptible
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
)
from interp.cli.progress import working
from interp.cli.train import app as train
from interp.errors import InterpError

if TYPE_CHECKING:
    from interp.subject import Subject

app = typer.Typer(
    name="interp",
    help="Take small neural networks apart: a checkpoint becomes a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train, name="train")


def main() -> None:
    """Run the command line: errors about the input are one message and exit code 2, never a traceback."""
    try:
        app()
    except InterpError as error:
        fail(str(error), 2)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as `| head` does
        sys.exit(0)
    except OSError as error:  # permissions, names that are too long, disks that are full
        fail(f"{error.filename or 'the file system'}: {error.strerror or error}; check the path and its permissions", 2)


def _version(asked: bool) -> None:
    if asked:
        from interp._util.versions import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take small neural networks apart: a checkpoint becomes a report."""


@app.command(epilog="Example: interp inspect model.pth")
@interruptible
def inspect(source: Source, key: Key = None) -> None:
    """Say what is in a checkpoint: tensors, shapes, dtypes, devices, step, config, layout, size, hash."""
    from rich.console import Console
    from rich.table import Table

    from interp.checkpoints import inspect as look

    found = look(source, key=key)
    console = Console(highlight=False, emoji=False)
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in found.facts.items():
        facts.add_row(name, escape(text))
    tensors = Table(box=None, pad_edge=False)
    for column in ("tensor", "shape", "dtype", "device"):
        tensors.add_column(column, overflow="fold")
    for name, shape, dtype, device in found.tensors:
        tensors.add_row(escape(name), "x".join(map(str, shape)) or "scalar", dtype, device)
    console.print(facts)
    console.print()
    console.print(tensors)


@app.command(
    epilog="Example: interp analyze model.pth --only fourier,ablation --set fourier.top=5 "
    '--task "modular:p=113,operation=add,train_fraction=0.3,seed=1"   |   '
    "interp analyze runs/modadd --only progress --every 10 --executor process:2"
)
@interruptible
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
    """Run every analysis that applies and write a report: OUT/index.html, OUT/result.json, OUT/tables."""
    from interp.report import check_output

    check_output(out, force=force)
    names, options = parse_names(only), parse_settings(set_ or [])
    check_names(names, options)
    shared = shared_options(names, every=every, executor=executor)
    from interp.checkpoints import load
    from interp.checkpoints.loading import resolve_dtype

    resolved = resolve_dtype(dtype)
    subject = load(source, task=task, layout=layout, key=key, step=step, member=member, device=device)
    _report(subject, out, names, options, resolved, seed, force, shared)


@app.command(
    epilog="Example: interp compare skull.zip sgd_skull/ --out report   |   interp compare skull.zip runs/skull"
)
@interruptible
def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more: checkpoints, genomes, runs (all members), folders of runs.", show_default=False
        ),
    ],
    out: Out = Path("report"),
    only: Annotated[
        str | None,
        typer.Option(help="Analyses to run, with commas; see interp analyses.", show_default="those that apply to two"),
    ] = None,
    set_: Settings = None,
    device: Device = "auto",
    dtype: Dtype = "float64",
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Run the same analyses on several networks and write one report; the first is what the others are compared with."""
    from interp.report import check_output, write_comparison

    check_output(out, force=force)
    names, options = parse_names(only), parse_settings(set_ or [])
    check_names(names, options)
    from interp.checkpoints.loading import resolve_dtype
    from interp.report.comparison import compare as run
    from interp.report.comparison import expand

    resolved = resolve_dtype(dtype)
    with working() as tell:
        found = run(expand(sources, device=device), names, options, dtype=resolved, seed=seed, progress=tell)
        tell("writing the report")
        page = write_comparison(found, out, force=force)
    show_comparison(found, page)


@app.command(
    epilog="Example: interp draw skull.zip skull.png   |   interp draw skull.zip eye.png --x=-0.5,0 --y=-0.6,-0.1"
)
@interruptible
def draw(
    source: Source,
    target: Annotated[Path, typer.Argument(help="The file to write, ending in .png.", show_default=False)],
    size: Annotated[int, typer.Option(help="Pixels along each edge.", min=1)] = 256,
    x: Annotated[
        str, typer.Option(help="What the rows cover, top to bottom: two numbers from -1 to 1, or beyond.")
    ] = "-1,1",
    y: Annotated[str, typer.Option(help="What the columns cover, left to right.")] = "-1,1",
    member: Member = 0,
    force: Force = False,
) -> None:
    """Draw the picture of an image network, at any resolution, of any rectangle of the plane."""
    if target.exists() and not force:
        raise InterpError(f"{target} exists already; choose another name, or overwrite it with --force")
    spans = parse_span("--x", x), parse_span("--y", y)
    from interp.checkpoints import load
    from interp.hooked import HookedCPPN

    model = load(source, member=member, device="cpu").model
    if not isinstance(model, HookedCPPN):
        raise InterpError(f"{source}: is a {type(model).__name__}, and draws no image")
    typer.echo(f"{model.draw(size, *spans).save(target)}: {size} x {size} pixels")


@app.command(epilog="Example: interp demo --out report")
@interruptible
def demo(out: Out = Path("report"), device: Device = "auto", force: Force = False) -> None:
    """Analyse the run that ships with the package: a small transformer that groks (a + b) mod 53."""
    from interp.report import check_output

    check_output(out, force=force)
    import torch

    from interp.checkpoints import load

    _report(
        load(Path(__file__).parents[1] / "demo" / "run", device=device),
        out,
        None,
        {},
        torch.float64,
        0,
        force,
    )


@app.command(epilog="Example: interp convert model.pth model.safetensors")
@interruptible
def convert(
    source: Source,
    target: Annotated[Path, typer.Argument(help="The file to write, ending in .safetensors.", show_default=False)],
    task: Task = None,
    layout: LayoutOption = None,
    key: Key = None,
    step: Step = None,
    member: Member = 0,
    dtype: Annotated[str | None, typer.Option(help="Widen or narrow the weights.", show_default="as stored")] = None,
    force: Force = False,
) -> None:
    """Write a foreign checkpoint as our safetensors: our names and shapes, config and task in the header."""
    if target.suffix != ".safetensors":
        raise InterpError(f"{target} must end in .safetensors: that is what is written")
    from interp.checkpoints import load, save

    subject = load(source, task=task, layout=layout, key=key, step=step, member=member, dtype=dtype, device="cpu")
    save(subject.model, target, task=subject.task, step=subject.step, force=force)
    for warning in [*subject.warnings, *subject.provenance.notes]:
        typer.echo(f"note: {warning}", err=True)
    typer.echo(f"{target}: {type(subject.model).__name__}, {target.stat().st_size:,} bytes")


@app.command(epilog="Example: interp analyses model.pth")
@interruptible
def analyses(
    source: Annotated[
        Path | None, typer.Argument(help="With a checkpoint: which analyses apply to it.", show_default=False)
    ] = None,
    task: Task = None,
    layout: LayoutOption = None,
    key: Key = None,
) -> None:
    """List the analyses: summary, needs, options; with a file, which apply and why others do not."""
    from interp.plugins.analysis import analyses as find

    known, broken = find()
    _list("analysis", known, broken, _subject(source, task, layout, key))


@app.command(epilog="Example: interp measures runs/modadd")
@interruptible
def measures(
    source: Annotated[
        Path | None, typer.Argument(help="With a checkpoint: which measures apply to it.", show_default=False)
    ] = None,
    task: Task = None,
    layout: LayoutOption = None,
    key: Key = None,
) -> None:
    """List the measures of the analysis progress: what each is, what it needs, its options."""
    from interp.plugins.measure import measures as find

    known, broken = find()
    _list("measure", known, broken, _subject(source, task, layout, key))


def _subject(source: Path | None, task: str | None, layout: str | None, key: str | None) -> Subject | None:
    if source is None:
        return None
    from interp.checkpoints import load

    return load(source, task=task, layout=layout, key=key)


def _list(kind: str, known: Mapping[str, Any], broken: Mapping[str, str], subject: Subject | None) -> None:
    """A line per plugin; with a subject, whether it applies to it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in (kind, "summary", "needs", "options", *(["applies"] if subject else [])):
        table.add_column(column, overflow="fold")
    for name, one in known.items():
        options = ", ".join(f"{o.name}: {o.type_name} = {o.default}" for o in one.options)
        row = [name, one.summary, ", ".join(one.needs), options or "none"]
        if subject is not None:
            missing = subject.lacks(one.needs)
            row.append(f"no: {missing[0]}" if missing else "yes")
        table.add_row(*map(escape, row))
    for name, error in broken.items():
        table.add_row(f"[red]{escape(name)}[/]", f"[red]{escape(error)}[/]")
    Console(highlight=False, emoji=False).print(table)


def _report(
    subject: Subject,
    out: Path,
    only: list[str] | None,
    options: dict[str, dict[str, Any]],
    dtype: Any,
    seed: int,
    force: bool,
    shared: Mapping[str, Any] | None = None,
) -> None:
    from rich.console import Console

    from interp._util.progress_context import watched
    from interp.plugins.analysis import analyze as run
    from interp.report import write
    from interp.report.page import verdict

    errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    with working() as tell:
        now = ""

        def tell_analysis(name: str) -> None:
            nonlocal now
            now = f"{subject.name}: {name}"
            tell(now)

        with watched(lambda text: tell(f"{now}: {text}")):
            outcomes = run(subject, only, options, dtype=dtype, seed=seed, progress=tell_analysis, shared=shared)
        tell("writing the report")
        page = write(subject, outcomes, out, force=force)
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    console.print(f"[bold]{escape(subject.name)}[/]")
    for label, text in verdict(outcomes):
        console.print(f"  {label:<28}{escape(text)}")
    for warning in subject.warnings:
        errors.print(f"[red]WARNING[/] {escape(warning)}")
    for outcome in outcomes.values():
        if outcome.status == "skipped":
            console.print(f"  skipped {outcome.name}: {escape(outcome.reason)}")
        elif outcome.status == "failed":
            errors.print(f"[red]failed[/] {outcome.name}: {escape(outcome.error)}")
    console.print(f"Report: {escape(str(page))}")
