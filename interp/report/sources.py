"""The networks of a comparison: Subjects, models and paths, each under a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from interp.checkpoints import load
from interp.checkpoints.run_files import read_run
from interp.errors import InterpError, UnreadableFile, in_file
from interp.hooked import HookedModel
from interp.subject import Subject, as_subject

MAX_SUBJECTS = 64
Network = Subject | HookedModel | str | Path


def as_subjects(
    given: Network | Mapping[str, Network] | Iterable[Network],
    device: str = "auto",
    how: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Subject]:
    """Subjects by name, from whatever a user has.

    Args:
        given: Subjects, models or paths, one or several, as a list or by name. Equal names of paths get a number.
        device: where paths are loaded.
        how: for each path, the arguments with which it is opened: ``task``, ``layout``, ``key``, ``step``, ``member``.

    Returns:
        Every network under its name, in the order given.

    Raises:
        InterpError: two Subjects of one name, an item of another kind, a path without a checkpoint, or more than
            `MAX_SUBJECTS` networks.
    """
    if isinstance(given, (str, Path, Subject, HookedModel)):
        given = [given]
    if not isinstance(given, Iterable):
        as_subject(given)  # raises, naming the way
    pairs: list[tuple[str | None, Network]] = (
        [(str(name), one) for name, one in given.items()]
        if isinstance(given, Mapping)
        else [(None, one) for one in given]
    )
    found: dict[str, Subject] = {}
    for place, (name, one) in enumerate(pairs):
        if isinstance(one, (str, Path)):
            path, opened = Path(one), {**(how[place] if how else {}), "device": device}
            for own, subject in _inside(path, name or path.name or str(path), opened):
                unique = _numbered(own, found)
                _add(found, unique, replace(subject, name=unique))
            continue
        subject = as_subject(one)
        if (name := name or subject.name) in found:
            raise InterpError(
                f"two of the networks are called {name!r}: give them names, such as "
                "interp.compare({'first': one, 'second': other})"
            )
        _add(found, name, subject)
    return found


def expand(
    sources: Iterable[str | Path], *, device: str = "auto", how: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Subject]:
    """The networks at several paths: every member of a run, every run of a folder of runs.

    Args:
        sources: paths of checkpoints, runs, or folders of runs.
        device: where they are loaded.
        how: as in `as_subjects`; with a member, that one alone stands for its run.

    Returns:
        Subjects by name; equal names get a number.

    Raises:
        UnreadableFile: a path without a checkpoint.
        InterpError: more than `MAX_SUBJECTS` networks.
    """
    return as_subjects(list(sources), device, how)


def _add(found: dict[str, Subject], name: str, subject: Subject) -> None:
    if len(found) >= MAX_SUBJECTS:
        raise InterpError(f"at most {MAX_SUBJECTS} networks can be compared at once; name some of the runs' folders")
    found[name] = subject


def _numbered(name: str, taken: Mapping[str, Any]) -> str:
    unique, n = name, 2
    while unique in taken:
        unique, n = f"{name} ({n})", n + 1
    return unique


def _inside(path: Path, name: str, how: Mapping[str, Any]) -> Iterable[tuple[str, Subject]]:
    """The networks at a path, each with its name; an error names the path."""
    step = how.get("step")
    shown = name if step is None else f"{name} step={step}"
    if how.get("member") is None and (path / "run.json").is_file():
        members = read_run(path).get("members") or [{}]
        if not isinstance(members, list) or not all(isinstance(m, dict) for m in members):
            raise UnreadableFile(f"{path / 'run.json'}: members must be a list of settings")
        for i, own in enumerate(members):
            yield _labelled(shown, own, members), _load(path, {**how, "member": i})
        return
    runs = sorted(p for p in path.iterdir() if (p / "run.json").is_file()) if path.is_dir() else []
    if runs:
        for run in runs:
            yield from _inside(run, f"{name}/{run.name}", how)
        return
    if (member := how.get("member")) is not None:
        shown += f" member={member}"
    yield shown, _load(path, how)


def _load(path: Path, how: Mapping[str, Any]) -> Subject:
    with in_file(path):
        return load(path, **{name: value for name, value in how.items() if value is not None})


def _labelled(name: str, own: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> str:
    """The run's name, followed by the settings in which this member differs from others."""
    varying = [k for k in own if any(m.get(k) != own[k] for m in members)]
    if all(m.get("data_seed", m.get("seed")) == m.get("seed") for m in members):
        varying = [k for k in varying if k != "data_seed"]
    return name + "".join(f" {k}={own[k]}" for k in varying)
