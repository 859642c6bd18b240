"""The group of commands ``interp train``: a command for every task that is installed, and ``--resume``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from interp.cli.failures import interruptible
from interp.cli.train.phases import PHASE_OPTIONS
from interp.errors import InterpError


class TaskCommands(TyperGroup):
    """One command per task, ours and those of other packages, made when it is asked for: only then is torch imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all tasks."""
        from interp.tasks import TASKS

        return list(TASKS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a task.

        Args:
            ctx: click's context.
            cmd_name: name of the task.

        Returns:
            a click command.

        Raises:
            UnknownName: no such task; the nearest are named.
            InterpError: the task is registered, but cannot be loaded.
        """
        from interp.tasks import TASKS

        return self.make(TASKS.find(cmd_name))

    def make(self, task: Any) -> Any:
        """The command that trains on a task."""
        from interp.cli.train.command import make_command

        return make_command(task)


class RefinementCommands(TaskCommands):
    """One command per task that refines a phase diagram."""

    @override
    def make(self, task: Any) -> Any:
        from interp.cli.train.refinement import make_refinement

        return make_refinement(task)


EXAMPLES = (
    "interp train modular --p 113 --steps 20000 --weight-decay 1.0 --out runs/modadd",
    "interp train parity --label-noise 0.02,0.05 --weight-decay 0.01,0.1 --seeds 5 --out runs/noise",
    "interp train --resume runs/modadd",
)
app = typer.Typer(
    cls=TaskCommands, rich_markup_mode="rich", invoke_without_command=True, no_args_is_help=True, add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\n\n".join(f"Example: {line}" for line in EXAMPLES),
)  # fmt: skip


def _phase(name: str) -> Any:
    text = PHASE_OPTIONS[name][1]
    return typer.Option(help=f"With --resume: {text[:1].lower()}{text[1:]}", show_default=False)


@app.callback()
@interruptible
def root(
    context: typer.Context,
    resume: Annotated[
        Path | None, typer.Option(help="Train the run in this folder to its end.", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="With --resume: go on to this many steps.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="With --resume: auto, cpu, cuda, cuda:1, mps.")] = "auto",
    executor: Annotated[
        str | None, typer.Option(help="With --resume, for a run that was begun with one.", show_default=False)
    ] = None,
    phase_threshold: Annotated[float | None, _phase("phase_threshold")] = None,
    phase_side: Annotated[str | None, _phase("phase_side")] = None,
    phase_reached: Annotated[str | None, _phase("phase_reached")] = None,
    phase_limit: Annotated[int | None, _phase("phase_limit")] = None,
    phase_gap: Annotated[int | None, _phase("phase_gap")] = None,
) -> None:
    """Train many small networks at once. TASK --help lists the options of a task, with their defaults.

    Most options take several values, 0.1,0.2 or low:high:count or low:high:count:log, and --grid takes them for any setting;
    every combination is trained, in one run.
    """  # noqa: DOC501  the docstring is what --help shows
    if resume is None:
        if context.invoked_subcommand is None:
            raise InterpError("name a task to train on, or a run to --resume; see interp train --help")
        _refuse_before_task(context)
        return
    if context.invoked_subcommand is not None:
        raise InterpError("--resume takes everything from the run's folder: leave the task out")
    from interp.cli.train.flags import in_words_of_the_shell
    from interp.cli.train.running import resume_run

    with in_words_of_the_shell():
        resume_run(resume, steps=steps, device=device, executor=executor, given=context.params)


def _refuse_before_task(context: typer.Context) -> None:
    """Refuse options before the name of a task: they are those of ``--resume``, and would be lost."""
    typed = [name for name, value in context.params.items() if value not in (None, "auto")]
    if typed:
        flag = f"--{typed[0].replace('_', '-')}"
        raise InterpError(
            f"{flag} before the task goes with --resume; write it after the task: "
            f"interp train {context.invoked_subcommand} {flag}"
        )


refine = typer.Typer(
    cls=RefinementCommands, rich_markup_mode="rich", no_args_is_help=True, add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: interp refine addition --axis decoder_lr=1e-5:1e-2:log --axis decoder_weight_decay=0:20 --out runs/diagram",
)  # fmt: skip


@refine.callback()
def refinement() -> None:
    """Make a phase diagram that spends its networks where phases meet. TASK --help lists the options of a task."""
