"""The steps of the evidence: what evidence/*.toml says, in the order in which it is run."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("evidence")  # a TOML file per source
KINDS = ("files", "runs", "measures")
REQUIRED = {"what", "command", "minutes"}
KEYS = REQUIRED | {"after", "writes"}


@dataclass(frozen=True)
class Step:
    """One command of the evidence.

    Attributes:
        kind: ``files`` (something that runs read), ``runs`` (a training, into a folder of its name), ``measures`` (tables).
        command: with ``{data}`` and ``{here}`` for the folders of others' files and of examples/; of a run without ``--out``.
        minutes: of one core, measured or estimated.
        after: steps that it stands on.
        writes: files that it makes; of measures in measured/, of files in the folder of runs.
    """

    source: str
    kind: str
    name: str
    what: str
    command: str
    minutes: float
    after: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

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
        table = tomllib.loads(path.read_text(encoding="utf8"))
        for kind, named in table.items():
            for place, (name, step) in enumerate(named.items()):
                if kind not in KINDS:
                    raise SystemExit(f"{path.name}: {kind} is none of {', '.join(KINDS)}")
                if wrong := (set(step) - KEYS) | (REQUIRED - set(step)):
                    raise SystemExit(f"{path.name}: {kind}.{name}: unknown or missing {', '.join(sorted(wrong))}")
                lists = {key: tuple(step.get(key, ())) for key in ("after", "writes")}
                found.append(((KINDS.index(kind), place), Step(path.stem, kind, name, **(step | lists))))
    ordered = {step.name: step for _, step in sorted(found, key=lambda pair: pair[0])}
    if len(ordered) < len(found):
        raise SystemExit("two steps have one name")
    for step in ordered.values():
        if unknown := [name for name in step.after if name not in ordered]:
            raise SystemExit(f"{step.name} stands on {', '.join(unknown)}, which is not a step")
    return ordered


def chosen(names: Sequence[str], every: Mapping[str, Step]) -> list[Step]:
    """The named steps and all that they stand on, in order; all steps without names."""

    def below(name: str) -> Iterator[str]:
        if name not in every:
            raise SystemExit(f"there is no step {name!r}; --list shows them")
        yield name
        for other in every[name].after:
            yield from below(other)

    wanted = {step for name in names or every for step in below(name)}
    return [step for name, step in every.items() if name in wanted]
