"""The front door: `load` turns any source into a `Subject`."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import torch

from interp._util.devices import resolve_device, resolve_dtype
from interp._util.specs import parse_spec
from interp.checkpoints.formats.reading import sha256
from interp.checkpoints.layouts import Converted, Layout, choose, task_from_config
from interp.checkpoints.logged_subject import curves_alone, shortened
from interp.checkpoints.source import Opened, Source, open_source
from interp.checkpoints.told_by_file import Told, own_order, told_split, told_task
from interp.checkpoints.wrong_kinds import require_path
from interp.errors import AmbiguousLayout, InterpError, TaskMismatch, UnknownLayout, UnreadableFile, in_file
from interp.hooked import MODELS, HookedModel
from interp.series import CheckpointSeries, Entry
from interp.subject import Provenance, Subject
from interp.tasks import Task, make_task, task_from_dict

SPLIT = {"split", "seed", "train_fraction", "n_train"}  # options of a task that say which pairs train


def load(
    source: str | Path,
    *,
    task: str | Task | None = None,
    layout: str | None = None,
    key: str | None = None,
    step: int | None = None,
    member: int = 0,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device = "auto",
) -> Subject:
    """Open a checkpoint file, a run directory or a folder of steps as a `Subject`.

    Args:
        source: the path. Torch files (zip and legacy, saved on any device), pickles of tensors or arrays, torch distributed
            checkpoints, safetensors (single, sharded), folders of Hugging Face, npz, flax msgpack, Keras files (with h5py),
            Picbreeder genomes (XML, zipped or not), folders of akarshkumar0101/fer; runs of Weights & Biases, TensorBoard,
            Lightning and the Trainer of Hugging Face, with their curves.
        task: what the network was trained on, as a spec (``modular:p=113,seed=1``) or a Task. By default it is rebuilt
            from the file, or from ``cfg.json`` beside it.
        layout: name of the layout, with options (``linear_chain:orientation=out_in``), if it is not recognised.
        key: where the weights are inside the file, if it holds several.
        step: which checkpoint of a series becomes ``subject.model``; the last by default.
        member: which network of a run that trained several.
        dtype: ``"float64"`` and so on; as stored by default.
        device: ``"auto"`` is CUDA if available, else the CPU.

    Returns:
        The network, its task if known, the series of its checkpoints, and where they came from.

    Raises:
        InterpError: as `UnreadableFile`, `UnknownLayout`, `AmbiguousLayout`, `TaskMismatch` or `UnknownName`; the message
            says what was wrong, where, and what to do.
        TaskMismatch: ``task`` does not fit the network.
        UnreadableFile: nothing there, or a file that cannot be read.
        UnknownLayout: the tensors fit no layout; the message has the ways on.
        AmbiguousLayout: the tensors fit several; the message says how to choose.
    """
    path = require_path(source, "load")
    for name, value in (("step", 0 if step is None else step), ("member", member)):
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise InterpError(f"{name} must be a whole number, got {value!r}")
    step, member = None if step is None else int(step), int(member)  # numpy's whole numbers, from a table's index, too
    opener = open_source(path, key, member)
    origin = {
        "source": str(path.resolve()),
        "task": task,
        "layout": layout,
        "key": key,
        "member": member,
        "dtype": dtype,
    }
    if not opener.entries:
        return _curves_alone(opener, origin, step)
    loader = _Loader(opener, layout, resolve_dtype(dtype), resolve_device(device))
    series = CheckpointSeries(opener.entries, loader.model)
    entry, unread = opener.entries[-1] if step is None else series.entry(step), []
    try:
        found = loader.load(entry)
    except (UnknownLayout, AmbiguousLayout, UnreadableFile) as error:
        if not opener.tool or not opener.curves or any(given is not None for given in (task, layout, key, step)):
            raise
        found, unread = loader.tensors_alone(entry), [shortened(error)]  # the run is still worth its curves
        if found is None:
            return curves_alone(opener, _name(opener), origin, unread[0])
        origin["layout"] = "tensors"
    notes = [*opener.notes, *_notes(found)]
    chosen, note = _task(opener, found, task) if not unread else (None, None)
    if note is not None:
        notes.append(note)
    if chosen is not None and not found.model.runs:
        raise InterpError(f"{path}: a task needs a network that can be run; the layout 'tensors' reads weights alone")
    if chosen is not None:
        try:
            chosen = chosen.fit(found.model)
            notes.extend(chosen.notes)
        except TaskMismatch as error:
            if task is not None:
                raise
            notes.append(f"the task in the config was ignored: {error}")
            chosen = None
    chosen, told = _told(opener, found, chosen, task)
    notes.extend(told)
    return Subject(
        name=_name(opener),
        model=found.model,
        task=chosen,
        series=series,
        step=found.opened.entry.step if found.opened.entry.known else None,
        provenance=_provenance(found, tuple(notes)),
        curves=opener.curves,
        genome=found.opened.contents.genome,
        members=len(members) if isinstance(members := opener.run.get("members"), list) else 1,
        origin=origin,
        trained_in=opener.path.resolve() if "format" in opener.run else None,
        warnings=[*unread, *found.converted.warnings, *nonfinite(found.model)],
    )


def _curves_alone(source: Source, origin: Mapping[str, Any], step: int | None) -> Subject:
    """A run without checkpoints, of which nothing but its curves can be asked."""
    given = next((n for n in ("task", "layout", "key") if origin[n] is not None), "step" if step is not None else None)
    if given is not None:
        raise InterpError(
            f"{source.path} is a run of {source.tool} without a checkpoint that can be read, so {given} does not apply: "
            "leave it out, or name a file of weights"
        )
    return curves_alone(source, _name(source), origin)


class _Loaded(NamedTuple):
    """An entry on its way from a file to a model."""

    opened: Opened
    layout: Layout
    converted: Converted
    model: HookedModel


class _Loader:
    """From entries to models. The layout is chosen for the first one, and kept for the series."""

    def __init__(self, source: Source, spec: str | None, dtype: torch.dtype | None, device: torch.device):
        self._source, self._spec, self._dtype, self._device = source, spec, dtype, device
        self._chosen: tuple[Layout, dict[str, Any]] | None = None

    def load(self, entry: Entry) -> _Loaded:
        opened = self._source.open(entry)
        with in_file(entry.path):
            if self._chosen is None:
                self._chosen = choose(opened.found.weights, opened.info, self._spec)
            layout, options = self._chosen
            converted = layout.convert(opened.found.weights, opened.info, options)
            cls = MODELS[converted.config.kind]
            model = cls.from_weights(converted.config, converted.weights, self._dtype).to(self._device)
        return _Loaded(opened, layout, converted, model)

    def model(self, entry: Entry) -> HookedModel:
        return self.load(entry).model

    def tensors_alone(self, entry: Entry) -> _Loaded | None:
        """An entry whose layout is unknown as tensors, as are all others from then on; None where it cannot be read at all."""
        self._spec, self._chosen = "tensors", None
        try:
            return self.load(entry)
        except (UnknownLayout, UnreadableFile):
            return None


def _task(source: Source, found: _Loaded, given: str | Task | None) -> tuple[Task | None, str | None]:
    """The task as given, as stored with the weights or the run, or as the training config describes it; and a note on it."""
    if given is not None:
        return make_task(given), None
    stored_in = ((found.opened.entry.path, found.converted.task), (source.path / "run.json", source.run.get("task")))
    for where, stored in stored_in:
        if stored is not None:
            try:
                task = task_from_dict(stored)
            except InterpError as error:
                raise type(error)(f"{where}: {error}; or give another task with --task") from None
            with in_file(source.path / "run.json"):
                return task.of_member(_member(source)), None
    try:
        return task_from_config(found.opened.info.config)
    except InterpError as error:
        return None, f"the config names no task that can be used: {error}; give it with --task"


def _told(source: Source, found: _Loaded, chosen: Task | None, given: str | Task | None) -> Told:
    """The task with what the file itself tells of it: its split, its order of a group's elements; or the task as a whole."""
    tree, entry = found.opened.contents.tree, found.opened.entry
    stored = found.converted.task is not None or "task" in source.run
    if chosen is None:
        return (
            told_task(found.model, tree, source.curves, entry.step if entry.known else None)
            if found.model.runs
            else Told(None)
        )
    notes: tuple[str, ...] = ()
    if not stored and not (given is not None and _names_a_split(given)):
        chosen, notes = told_split(chosen, tree)
        assert chosen is not None
    ordered, told = own_order(chosen, found.model)
    return Told(ordered, (*notes, *told))


def _names_a_split(given: str | Task) -> bool:
    return not isinstance(given, str) or bool(SPLIT & set(parse_spec(given)[1]))


def _member(source: Source) -> dict[str, Any]:
    """The chosen member's own settings."""
    members = source.run.get("members")
    if not isinstance(members, list) or not 0 <= source.member < len(members):
        return {}
    own = members[source.member]
    return own if isinstance(own, dict) else {}


def _name(source: Source) -> str:
    """The run's name, or the file's; the folder's if the file is only called model."""
    if isinstance(source.run.get("name"), str) and source.run["name"]:
        members = source.run.get("members")
        several = isinstance(members, list) and len(members) > 1
        return source.run["name"] + (f", member {source.member}" if several else "")
    path = source.path
    generic = {"model", "pytorch_model", "checkpoint", "weights"}
    return path.resolve().parent.name if path.is_file() and path.stem in generic else path.name


def nonfinite(model: HookedModel) -> list[str]:
    """A warning for every parameter that holds NaN or infinity; one transfer from the device for all of them.

    Args:
        model: any.

    Returns:
        the warnings.
    """
    names = [n for n, _ in model.named_parameters()]
    counts = torch.stack([(~p.detach().isfinite()).sum() for p in model.parameters()]).tolist()
    return [
        f"{name} has {count} entries that are NaN or infinite"
        for name, count in zip(names, counts, strict=True)
        if count
    ]


def _notes(found: _Loaded) -> list[str]:
    """What was assumed, and what was not read."""
    contents = found.opened.contents
    notes = [*contents.notes, *found.opened.notes, *found.converted.notes]
    notes += contents.genome.notes if contents.genome else ()
    if contents.stubs:
        notes.append(
            f"classes that the file names were not read, and nothing of theirs was run: {', '.join(contents.stubs)}"
        )
    return notes


def _provenance(found: _Loaded, notes: tuple[str, ...]) -> Provenance:
    opened, path = found.opened, found.opened.entry.path
    weights = opened.found.weights.values()
    dtypes = {str(t.dtype).removeprefix("torch.") for t in weights if t.dtype.is_floating_point}
    return Provenance(
        path=str(path),
        sha256=sha256(path),
        size=path.stat().st_size,
        format=opened.contents.format,
        layout=found.layout.name,
        key=opened.entry.key,
        stored_dtypes=tuple(sorted(dtypes)),
        stored_devices=tuple(sorted({t.device for t in weights})),
        stripped_prefixes=opened.found.stripped,
        extra_tensors=found.converted.extra,
        unknown_classes=opened.contents.stubs,
        config=dict(opened.info.config),
        notes=notes,
    )
