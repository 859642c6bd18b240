"""The steps of the evidence: what evidence/*.toml says, in the order in which it is run."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interp.errors import unknown

from fields import POSITIVE, TEXT, Kind, check

FOLDER = Path(__file__).with_name("evidence")  # a TOML file per source
KINDS = ("files", "runs", "measures")
REQUIRED = {"what", "command", "minutes"}
PROGRAMS = ("interp", "python")


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


KEYS = {
    "what": TEXT, "command": TEXT, "minutes": POSITIVE, "after": Kind(_names, "a list of steps"),
    "writes": Kind(_names, "a list of files"),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One command of the evidence.

    Attributes:
        kind: ``files`` (something that runs read), ``runs`` (a training, into a folder of its name), ``measures`` (tables).
        command: with ``{data}`` and ``{here}`` for the folders of others' files and of examples/; of a run without ``--out``.
        minutes: of one core, measured or estimated.
        after: steps that it stands on.
        writes: files that it makes; of measures in measured/, of files in the folder of runs.
        made_by: the commands of all that it stands on, at any depth, by name.
    """

    source: str
    kind: str
    name: str
    what: str
    command: str
    minutes: float
    after: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    made_by: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def shown(self) -> str:
        """The command as a reader would type it: DATA for the folder of others' files."""
        out = f" --out {self.name}" if self.kind == "runs" else ""
        return self.command.replace("{data}", "DATA").replace("{here}", "examples") + out


def steps(folder: Path = FOLDER) -> dict[str, Step]:
    """All steps by name: files first, then what each source calls most decisive, source by source.

    Raises:
        SystemExit: a step that cannot be read, or that stands on one that is not there.
    """
    found: list[tuple[tuple[int, int], Step]] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            table = tomllib.loads(path.read_text(encoding="utf8"))
        except ValueError as error:
            raise SystemExit(f"{path.name} is not TOML: {error}") from None
        for kind, named in table.items():
            if kind not in KINDS or not isinstance(named, dict):
                raise SystemExit(f"{path.name}: {kind} must be a table, and one of {', '.join(KINDS)}")
            found += [
                ((KINDS.index(kind), place), _step(path, kind, name, step))
                for place, (name, step) in enumerate(named.items())
            ]
    ordered = {step.name: step for _, step in sorted(found, key=lambda pair: pair[0])}
    if len(ordered) < len(found):
        raise SystemExit("two steps have one name")
    for step in ordered.values():
        if lost := [name for name in step.after if name not in ordered]:
            raise SystemExit(f"{step.name} stands on {', '.join(lost)}, which is not a step")
    made_by = {name: _made_by(name, ordered, ()) for name in ordered}
    return {name: replace(step, made_by=made_by[name]) for name, step in ordered.items()}


def _made_by(name: str, every: Mapping[str, Step], above: tuple[str, ...]) -> dict[str, str]:
    """The commands of all that a step stands on, at any depth."""
    if name in above:
        raise SystemExit(f"{name} stands on itself: {' -> '.join((*above, name))}")
    found = {}
    for other in every[name].after:
        found |= {other: every[other].shown} | _made_by(other, every, (*above, name))
    return found


def _step(path: Path, kind: str, name: str, given: Any) -> Step:
    """One step, checked."""
    place = f"{path.name}: {kind}.{name}"
    try:
        check(given, place, KEYS, REQUIRED)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    fields: dict[str, Any] = {"after": [], "writes": []} | given
    if not re.fullmatch(r"[\w.-]+", name):
        raise SystemExit(f"{place}: its name may have letters, digits, _, . and -")
    if re.search(r"[{}]", fields["command"].replace("{data}", "").replace("{here}", "")):
        raise SystemExit(f"{place}: command holds braces other than {{data}} and {{here}}")
    try:
        words = shlex.split(fields["command"])
    except ValueError as error:
        raise SystemExit(f"{place}: command cannot be split into words: {error}") from None
    if not words or words[0] not in PROGRAMS:
        raise SystemExit(f"{place}: command begins with {' or '.join(PROGRAMS)}")
    return Step(path.stem, kind, name, **fields | {key: tuple(fields[key]) for key in ("after", "writes")})


def chosen(names: Sequence[str], every: Mapping[str, Step]) -> list[Step]:
    """The named steps and all that they stand on, in order; all steps without names."""

    def below(name: str) -> Iterator[str]:
        if name not in every:
            raise SystemExit(f"{unknown('step', name, every)}; --list shows them")
        yield name
        for other in every[name].after:
            yield from below(other)

    wanted = {step for name in names or every for step in below(name)}
    return [step for name, step in every.items() if name in wanted]
