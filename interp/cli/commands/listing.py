"""``interp analyses`` and ``interp measures``: what is installed, and what of it applies to a network."""

from __future__ import annotations

import json as formats
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli.completion import plugin_names
from interp.cli.options import Json, Key, LayoutOption, Task
from interp.cli.terminal import escape, output
from interp.errors import InterpError, UnknownName, unknown

if TYPE_CHECKING:
    from interp.subject import Subject

Words = Annotated[
    list[str] | None,
    typer.Argument(
        help="Names, to see them whole; a checkpoint, to see which apply to it.",
        metavar="[NAME]... [SOURCE]",
        autocompletion=plugin_names,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Known:
    """What is installed of a kind.

    Attributes:
        kind: ``analysis`` or ``measure``.
        good: those that could be loaded, by name.
        broken: errors of the others.
    """

    kind: str
    good: Mapping[str, Any]
    broken: Mapping[str, str]

    def split(self, words: Sequence[str]) -> tuple[list[str], Path | None]:
        """Names, and the one checkpoint among the words; a word that is neither is refused."""
        names = [w for w in words if (w in self.good or w in self.broken) and not Path(w).exists()]
        others = [w for w in words if w not in names]
        if len(others) > 1:
            raise InterpError(f"one checkpoint at a time, got {', '.join(others)}")
        if others and not Path(others[0]).exists():
            known = unknown(self.kind, others[0], [*self.good, *self.broken])
            raise UnknownName(f"no file {others[0]}, and {known}")
        return names, Path(others[0]) if others else None


def analyses(
    words: Words = None, task: Task = None, layout: LayoutOption = None, key: Key = None, json: Json = False
) -> None:
    """List the analyses; for a file also which of them apply, and what the others need. NAME shows one whole."""
    from interp.plugins.analysis import analyses as find
    from interp.plugins.joint import joint_analyses

    (good, broken), (joint, unusable) = find(), joint_analyses()
    _list(
        Known("analysis", {**good, **joint}, {**broken, **unusable}),
        words or (),
        {"task": task, "layout": layout, "key": key},
        json,
    )


def measures(
    words: Words = None, task: Task = None, layout: LayoutOption = None, key: Key = None, json: Json = False
) -> None:
    """List the measures of the analysis progress; for a file also which of them apply. NAME shows one whole."""
    from interp.plugins.measure import measures as find

    _list(Known("measure", *find()), words or (), {"task": task, "layout": layout, "key": key}, json)


def _list(known: Known, words: Sequence[str], how: Mapping[str, Any], json: bool) -> None:
    names, source = known.split(words)
    subject = None
    if source is not None:
        from interp.checkpoints import load

        subject = load(source, **how)
    found = [described(name, one, subject) for name, one in known.good.items() if not names or name in names]
    found += [{"name": n, "error": error} for n, error in known.broken.items() if not names or n in names]
    if json:
        typer.echo(formats.dumps(found, indent=2, default=str))
    elif names:
        for one in found:
            _whole(known.kind, one)
    else:
        _lines(known.kind, found)


def described(name: str, one: Any, subject: Subject | None) -> dict[str, Any]:
    """An analysis or a measure as plain values.

    Args:
        name: as typed.
        one: the plugin.
        subject: a network, to say whether it applies to it.

    Returns:
        name, summary, needs, options, what its docstring says, and whether it compares networks (``joint``); with a
        subject also ``applies`` and ``reason``.
    """
    from interp.plugins.docs import about, argument_help
    from interp.plugins.joint import JointAnalysis

    said = argument_help(one.function)
    options = [
        {"name": o.name, "type": o.type_name, "default": o.default, "help": said.get(o.name, "")} for o in one.options
    ]
    found = {
        "name": name, "summary": one.summary, "about": about(one.function), "needs": list(one.needs), "options": options,
        "joint": isinstance(one, JointAnalysis),
    }  # fmt: skip
    if subject is None:
        return found
    missing = subject.lacks(one.needs)
    return found | {"applies": not missing, "reason": missing[0] if missing else ""}


def _lines(kind: str, found: Sequence[Mapping[str, Any]]) -> None:
    """A name and a summary each; with a subject whether it applies."""
    from rich.table import Table

    table, of_file = Table.grid(padding=(0, 2)), any("applies" in one for one in found)
    table.add_column(no_wrap=True)
    if of_file:
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        if "error" in one:
            text, mark = f"[red]{escape(one['error'])}[/]", "[red]failed[/]"
        else:
            text, mark = escape(one["summary"]), "yes" if one.get("applies") else "no"
            text += " (interp compare)" if one["joint"] else ""
            text += f"\n[dim]{escape(one['reason'])}[/]" if one.get("reason") else ""
        table.add_row(f"[bold]{escape(one['name'])}[/]", *([mark] if of_file else []), text)
    console = output(wrap=True)
    console.print(table)
    console.print(f"\ninterp {'analyses' if kind == 'analysis' else 'measures'} NAME shows needs and options of one.")


def _whole(kind: str, one: Mapping[str, Any]) -> None:
    """Everything that there is to say about one of them."""
    console = output(wrap=True)
    if "error" in one:
        console.print(f"[bold]{escape(one['name'])}[/]: [red]{escape(one['error'])}[/]")
        return
    from rich.padding import Padding

    from interp.subject import Subject

    console.print(f"[bold]{escape(one['name'])}[/]: {escape(one['summary'])}")
    console.print(escape(one["about"]))
    if "applies" in one:
        console.print("Applies: " + ("yes" if one["applies"] else f"no: {escape(one['reason'])}"))
    for need in one["needs"]:
        console.print(f"Needs [bold]{escape(need)}[/]: {escape(Subject.CAPABILITIES[need])}")
    for option in one["options"]:
        console.print(
            f"Option [bold]{escape(option['name'])}[/]: {escape(option['type'])} = {escape(str(option['default']))}"
        )
        if option["help"]:
            console.print(Padding(escape(option["help"]), (0, 0, 0, 4)))
    if one["options"]:
        console.print(f"Example: {escape(_example('joint' if one['joint'] else kind, one['name'], one['options'][0]))}")
    console.print()


def _example(kind: str, name: str, option: Mapping[str, Any]) -> str:
    if kind == "joint":
        return f"interp compare A B --only {name} --set {name}.{option['name']}={option['default']}"
    if kind == "analysis":
        return f"interp analyze FILE --only {name} --set {name}.{option['name']}={option['default']}"
    return f"interp analyze RUN --only progress --set progress.settings={name}.{option['name']}={option['default']}"
