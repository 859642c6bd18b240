"""Sources: the weights that a user gives as ``init`` and ``mask``, and the data that come with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from interp._util.specs import parse_spec
from interp.checkpoints.formats.find import find
from interp.checkpoints.formats.reading import read, sha256
from interp.checkpoints.loading import load
from interp.errors import (
    AmbiguousLayout,
    InterpError,
    UnknownLayout,
    UnknownName,
    UnreadableFile,
    unknown,
)
from interp.hooked import Config, HookedModel
from interp.hooked.coerce import as_model
from interp.hooked.initial import SCHEMES
from interp.subject import Subject
from interp.tasks import Task
from interp.tasks.given import as_array
from interp.tasks.given_task import given_to, lent
from interp.training.arrays import read_array
from interp.training.starts import Starts

WHERE = {"step": int, "member": int, "key": str, "layout": str}  # what may follow a path: runs/a@step=0,member=2
GIVEN = ("train_indices", "test_indices", "targets")


@dataclass(frozen=True)
class Source:
    """Weights that a user gave.

    Attributes:
        name: what the run calls them.
        tensors: by the names of parameters.
        described: where they came from, as plain values.
        config: of their network, where it can be trained.
        task: that it was trained on.
    """

    name: str
    tensors: Mapping[str, Tensor]
    described: Mapping[str, Any]
    config: Config | None = None
    task: Task | None = None


@dataclass
class Gathered:
    """The weights that the settings of a run and its members give, each once."""

    sources: dict[str, Source] = field(default_factory=dict)
    used: dict[str, list[str]] = field(default_factory=dict)
    _seen: list[tuple[Any, str]] = field(default_factory=list)

    def name(self, given: Any, what: str) -> str:
        """The name of what was given; a scheme is its own.

        Args:
            given: by the user.
            what: ``"init"`` or ``"mask"``.

        Returns:
            a name that no scheme has, and no other weights of the run.

        Raises:
            InterpError: it cannot be read, or is not a network.
        """
        if what == "init" and isinstance(given, str) and given in SCHEMES:
            return given
        name = next((n for g, n in self._seen if g is given or (isinstance(g, str) and g == given)), None)
        if name is None:
            source = read_weights(given, what)
            name, number = source.name, 1
            while name in self.sources or name in SCHEMES:
                number += 1
                name = f"{source.name} ({number})"
            self.sources[name] = source
            self._seen.append((given, name))
        if what not in self.used.setdefault(name, []):
            self.used[name].append(what)
        return name

    def starts(self, lent: str) -> Starts:
        """Everything gathered; ``lent`` says what else the first was asked for."""
        described: dict[str, dict[str, Any]] = {}
        for name, source in self.sources.items():
            more = {"lent": lent} if lent and not described else {}
            described[name] = {**source.described, "used": self.used[name], **more}
        return Starts(described, {name: source.tensors for name, source in self.sources.items()})


@dataclass(frozen=True)
class Begun:
    """A user's settings with everything that was given read.

    Attributes:
        task: with the given split and targets.
        settings: ``init``, ``mask`` and those of members are names.
        starts: what the names mean.
        config: of the network that the run starts from, where ``init`` gives one.
    """

    task: Task
    settings: dict[str, Any]
    starts: Starts
    config: Config | None


def begin(task: Task, settings: Mapping[str, Any]) -> Begun:
    """Read the weights, the split and the targets that a user gives.

    Args:
        task: that is trained on.
        settings: of the run, without those left None; members as a list.

    Returns:
        the same with everything read. A split and targets that come with ``init`` are taken where both have the same
        examples and the user gives none.

    Raises:
        InterpError: something that cannot be read, or does not fit the task.
    """
    settings = dict(settings)
    arrays = {n: read_array(settings.pop(n), n) for n in GIVEN if n in settings}
    task = given_to(task, **arrays)
    gathered = Gathered()
    for what in ("init", "mask"):
        if what in settings:
            settings[what] = gathered.name(settings[what], what)
    source = gathered.sources.get(settings.get("init", ""))
    own, given = task, None if source is None else source.task
    task = lent(task, given)
    settings |= {"members": [_named(m, gathered) for m in settings["members"]]} if "members" in settings else {}
    taken = [] if task is own or task.given is None else [n for n in task.given.held() if n not in _held(own)]
    said = " and ".join(dict.fromkeys("targets" if n == "targets" else "split" for n in taken))
    return Begun(task, settings, gathered.starts(said), None if source is None else source.config)


def settle_scales(
    chosen: dict[str, Any], usual: Mapping[str, Any], settings: Mapping[str, Any], starts: Starts
) -> None:
    """Keep the recipe's scales away from given weights: they belong to weights that are drawn. Those that a user sets hold.

    Args:
        chosen: fields of the plan, changed in place.
        usual: the recipe's fields.
        settings: the user's.
        starts: the given weights.
    """
    for name in ("init_scale", "embedding_scale"):
        recipe = usual.get(name, 1.0)
        if name in settings or recipe == 1 or not starts.described:
            continue
        plain = chosen.get("init") in starts
        chosen[name] = 1.0 if plain else recipe
        members = []
        for member in chosen.get("members", ()):
            given = isinstance(member, Mapping) and member.get("init", chosen.get("init")) in starts
            members.append(member if given == plain or name in member else {**member, name: 1.0 if given else recipe})
        chosen |= {"members": members} if members else {}


def _held(task: Task) -> Iterable[str]:
    return () if task.given is None else task.given.held()


def _named(member: Any, gathered: Gathered) -> Any:
    if not isinstance(member, Mapping):
        return member  # refused by the plan
    return {**member, **{w: gathered.name(member[w], w) for w in ("init", "mask") if member.get(w) is not None}}


def read_weights(given: Any, what: str) -> Source:
    """Weights from what a user gives.

    Args:
        given: a Subject, a hooked model, named tensors or arrays, or the path of anything that `interp.load` reads, perhaps
            with ``@step=0,member=2,key=...,layout=...``.
        what: ``"init"`` or ``"mask"``, for messages.

    Returns:
        the weights.

    Raises:
        InterpError: anything else, or a file that cannot be read.
    """
    if isinstance(given, (str, Path)):
        return _of_path(given, what)
    if isinstance(given, Mapping):
        tensors = {str(n): as_array(t, f"{what}: {n}") for n, t in given.items()}
        return Source(f"given {what}", {n: t.float() if not t.is_floating_point() else t for n, t in tensors.items()}, {
            "source": "named tensors",
        })  # fmt: skip
    if isinstance(given, Subject):
        return _of_subject(given, given.name, given.provenance.path or "a Subject in memory")
    model = as_model(given, f"{what} is a scheme, a path, a Subject, a hooked model or named tensors; a network")
    return _of_subject(Subject(type(model).__name__, model), type(model).__name__, "a model in memory")


def _of_subject(subject: Subject, name: str, source: str) -> Source:
    model = subject.model
    tensors = {n: p.detach().to("cpu", copy=True) for n, p in model.named_parameters()}
    hashed = {"sha256": subject.provenance.sha256} if subject.provenance.sha256 else {}
    described = {"source": source, "step": subject.step, "layout": subject.provenance.layout, **hashed}
    return Source(name, tensors, described, model.config if _trainable(model) else None, subject.task)


def _trainable(model: HookedModel) -> bool:
    return model.runs and model.config.kind not in ("wrapped", "neat", "tensors")


def _of_path(given: str | Path, what: str) -> Source:
    path, where = _place(given, what)
    if isinstance(given, str) and not where and not _is_there(path) and not re.search(r"[/\\.]", given):
        if what == "init":
            raise UnknownName(unknown("initialisation", given, SCHEMES) + "; or the path of weights to start from")
        raise UnreadableFile(f"no mask at {given}: a mask is the path of a checkpoint, or of named tensors")
    options = {n: v for n, v in where.items() if n != "member"}
    try:
        subject = load(path, **options, member=where.get("member", 0), device="cpu")
    except (UnknownLayout, AmbiguousLayout):
        if path.is_dir() or where.get("layout") is not None:
            raise
        return _named_tensors(path, where.get("key"), str(given))
    if subject.members > 1 and "member" not in where:
        raise InterpError(
            f"{what}: {path} holds {subject.members} networks: name one, {what}='{path}@member=0', or give members their own"
        )
    found = _of_subject(subject, str(given), str(path.resolve()))
    return replace(found, described={**found.described, **({"member": where["member"]} if "member" in where else {})})


def _named_tensors(path: Path, key: str | None, name: str) -> Source:
    """The tensors of a file under the names that they have there: perhaps those of the network's parameters."""
    found = find(read(path), key).steps[-1]
    tensors = {n: ref.load() for n, ref in found.weights.items()}
    plain = {n: t if t.is_floating_point() else t.float() for n, t in tensors.items()}
    return Source(name, plain, {"source": str(path.resolve()), "sha256": sha256(path)})


def _place(given: str | Path, what: str) -> tuple[Path, dict[str, Any]]:
    """A path, and which of its networks: ``runs/a@step=0,member=2``."""
    text = str(given)
    before, at, after = text.rpartition("@")
    if not at or _is_there(Path(text)):
        return Path(text), {}
    _, where = parse_spec(f"where:{after}")
    for name, value in where.items():
        if name not in WHERE:
            raise UnknownName(unknown(f"option of {what}={text!r}", name, WHERE))
        if not isinstance(value, WHERE[name]) or isinstance(value, bool):
            raise InterpError(f"{what}={text!r}: {name} must be a {'whole number' if WHERE[name] is int else 'name'}")
    return Path(before), where


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
