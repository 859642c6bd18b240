"""The front door: `load` turns any source into a `Subject`; `inspect` says what is in it without converting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from interp.checkpoints.formats import reading as formats
from interp.checkpoints.layouts import Converted, Layout, choose
from interp.checkpoints.source import Source, header_of, open_source
from interp.errors import InterpError, TaskMismatch, UnknownName, naming
from interp.hooked import MODELS, HookedModel
from interp.series import CheckpointSeries, Entry
from interp.subject import Provenance, Subject
from interp.tasks import Task, make_task, task_from_config, task_from_dict

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def load(
    source: str | Path,
    *,
    task: str | Task | None = None,
    layout: str | None = None,
    key: str | None = None,
    step: int | None = None,
    member: int = 0,
    dtype: str | torch.dtype | None = None,
    device: str = "auto",
) -> Subject:
    """Open a checkpoint file, a run directory or a folder of steps as a `Subject`.

    Args:
        source: the path. Torch files (zip and legacy, saved on any device), safetensors (single, sharded), npz, Picbreeder
            genomes (XML, zipped or not), folders of akarshkumar0101/fer.
        task: what the network was trained on, as a spec (``modular:p=113,seed=1``) or a Task. By default it is rebuilt
            from what the file, or ``cfg.json`` beside it, says.
        layout: name of the layout, with options (``linear_chain:orientation=out_in``), where it is not recognised.
        key: where the weights lie inside the file, where it holds several.
        step: which checkpoint of a series becomes ``subject.model``; the last by default.
        member: which network of a run that trained several.
        dtype: ``"float64"`` and so on; as stored by default.
        device: ``"auto"`` is CUDA where there is one, else the CPU.

    Raises:
        UnreadableFile, UnknownLayout, AmbiguousLayout, TaskMismatch, UnknownName: all `InterpError`; each message says
            what was wrong, where, and what to do.
    """
    opened = open_source(source, key, member)
    loader = _Loader(opened, layout, resolve_dtype(dtype), resolve_device(device))
    series = CheckpointSeries(opened.entries, loader.model)
    entry = opened.entries[-1] if step is None else next((e for e in opened.entries if e.step == step), None)
    if entry is None:
        series.at(step or 0)  # raises, naming the nearest step
        raise AssertionError("unreachable")
    model = loader.model(entry)
    converted = loader.converted
    chosen, note = _task(opened, entry, converted, task)
    contents = opened.open(entry)[0]
    notes = [
        *opened.notes,
        *converted.notes,
        *(contents.genome.notes if contents.genome else ()),
        *([note] if note else []),
    ]
    unread = contents.stubs
    if unread:
        notes.append(f"the file names classes that were not read, and nothing of theirs was run: {', '.join(unread)}")
    if chosen is not None:
        try:
            chosen = chosen.fit(model)
        except TaskMismatch as error:
            if task is not None:
                raise
            notes.append(f"the task that the config describes was left out: {error}")
            chosen = None
    return Subject(
        name=_name(opened),
        model=model,
        task=chosen,
        series=series,
        step=entry.step,
        provenance=_provenance(opened, entry, loader, notes),
        curves=opened.curves,
        genome=contents.genome,
        members=len(members) if isinstance(members := opened.run.get("members"), list) else 1,
        origin={
            "source": str(Path(source).resolve()),
            "task": task,
            "layout": layout,
            "key": key,
            "member": member,
            "dtype": dtype,
        },
        warnings=[*converted.warnings, *_nonfinite(model)],
    )


def resolve_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in DTYPES:
        raise UnknownName(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    return DTYPES[dtype]


def resolve_device(device: str) -> torch.device:
    """``auto`` means CUDA where there is one, else the CPU; MPS has no float64 and is used only when named."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise UnknownName(f"unknown device {device!r}: {str(error).splitlines()[0]}") from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if resolved.type not in present:
        raise UnknownName(f"device {device!r} is not supported; use auto, cpu, cuda or mps")
    if not present[resolved.type] or (resolved.index or 0) >= max(1, torch.cuda.device_count()):
        raise InterpError(f"device {device!r} was asked for, but this machine does not have it; use cpu or auto")
    return resolved


class _Loader:
    """Entries to models; the layout is chosen once, on the first, and holds for the series."""

    def __init__(self, source: Source, spec: str | None, dtype: torch.dtype | None, device: torch.device):
        self.source, self.spec, self.dtype, self.device = source, spec, dtype, device
        self.layout: Layout | None = None
        self.options: dict[str, Any] = {}

    def model(self, entry: Entry) -> HookedModel:
        found, info = self.source.found(entry), self.source.info(entry)
        try:
            if self.layout is None:
                self.layout, self.options = choose(found.weights, info, self.spec)
            self.converted: Converted = self.layout.convert(found.weights, info, self.options)
            cls = MODELS[self.converted.config.kind]
            return cls.from_weights(self.converted.config, self.converted.weights, self.dtype).to(self.device)
        except InterpError as error:
            raise naming(entry.path, error) from None


def _task(
    source: Source, entry: Entry, converted: Converted, given: str | Task | None
) -> tuple[Task | None, str | None]:
    if given is not None:
        return make_task(given), None
    for where, stored in ((entry.path, converted.task), (source.path / "run.json", source.run.get("task"))):
        if stored is not None:
            try:
                return task_from_dict(stored).of_member(_member(source)), None
            except InterpError as error:
                raise type(error)(f"{where}: {error}; give another with --task") from None
    return task_from_config(dict(source.info(entry).config))


def _member(source: Source) -> dict[str, Any]:
    """What the chosen member of a run has for its own."""
    members = source.run.get("members")
    if not isinstance(members, list) or not 0 <= source.member < len(members):
        return {}
    own = members[source.member]
    return own if isinstance(own, dict) else {}


def _name(source: Source) -> str:
    """What the run calls itself, or the file's name; the folder's where the file is just called model."""
    if isinstance(source.run.get("name"), str) and source.run["name"]:
        members = source.run.get("members")
        several = isinstance(members, list) and len(members) > 1
        return source.run["name"] + (f", member {source.member}" if several else "")
    path = source.path
    generic = {"model", "pytorch_model", "checkpoint", "weights"}
    return path.resolve().parent.name if path.is_file() and path.stem in generic else path.name


def _nonfinite(model: HookedModel) -> list[str]:
    """A warning for every parameter that holds NaN or infinity; one transfer from the device for all of them."""
    names = [n for n, _ in model.named_parameters()]
    counts = torch.stack([(~p.detach().isfinite()).sum() for p in model.parameters()]).tolist()
    return [
        f"{name} has {count} entries that are NaN or infinite"
        for name, count in zip(names, counts, strict=True)
        if count
    ]


def _provenance(source: Source, entry: Entry, loader: _Loader, notes: list[str]) -> Provenance:
    contents, _ = source.open(entry)
    found = source.found(entry)
    devices = sorted({t.device for t in found.weights.values()})
    dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in found.weights.values() if t.dtype.is_floating_point})
    assert loader.layout is not None  # a model was built
    return Provenance(
        path=str(entry.path),
        sha256=formats.sha256(entry.path),
        size=entry.path.stat().st_size,
        format=contents.format,
        layout=loader.layout.name,
        key=entry.key,
        stored_dtypes=tuple(dtypes),
        stored_devices=tuple(devices),
        stripped_prefixes=found.stripped,
        extra_tensors=loader.converted.extra,
        unknown_classes=contents.stubs,
        config=dict(source.info(entry).config),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class Inspection:
    """What a file holds, before any conversion.

    Attributes:
        facts: name and value, in the order to be shown.
        tensors: name, shape, dtype and device of every tensor of the weights.
        layout: the recognised layout's name, or why there is none.
    """

    facts: dict[str, str]
    tensors: tuple[tuple[str, tuple[int, ...], str, str], ...]
    layout: str


def inspect(source: str | Path, *, key: str | None = None) -> Inspection:
    """Say what is in a checkpoint: tensors, shapes, dtypes, devices, step, config, layout, size and hash.

    Raises:
        UnreadableFile: as `load`; but an unknown layout is reported, not raised.
    """
    opened = open_source(source, key)
    entry = opened.entries[-1]
    contents, _ = opened.open(entry)
    found = opened.found(entry)
    info = opened.info(entry)
    try:
        chosen = choose(found.weights, info)[0]
        question = chosen.matches(found.weights, info).question
        layout = chosen.name + (f", but {question}" if question else "")
    except InterpError as error:
        layout = str(error).split(" The tensors are:")[0]
    steps = [e.step for e in opened.entries]
    header = header_of(contents)
    facts = {
        "file": str(entry.path),
        "format": contents.format,
        "size": f"{entry.path.stat().st_size:,} bytes",
        "sha256": formats.sha256(entry.path),
        "weights at": found.where or "top",
        "step": f"{steps[-1]:,}" if len(steps) == 1 else f"{len(steps)} checkpoints, {steps[0]:,} to {steps[-1]:,}",
        "layout": layout,
        "parameters": f"{sum(t.numel for t in found.weights.values()):,} numbers in {len(found.weights)} tensors",
        "config": _short(header.get("config") or info.config),
        "recorded curves": ", ".join(f"{n} ({len(p):,})" for n, p in opened.curves.items()),
        "stripped prefixes": " ".join(found.stripped),
        "classes not read": ", ".join(contents.stubs),
    }
    tensors = tuple((n, t.shape, str(t.dtype).removeprefix("torch."), t.device) for n, t in found.weights.items())
    return Inspection({k: v for k, v in facts.items() if v}, tensors, layout)


def _short(config: Any) -> str:
    return re.sub(r"[{}']", "", str(dict(config)))[:500] if config else ""
