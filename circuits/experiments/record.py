"""Experiments as data: what was done to which network and what came out, stored in one file and run again from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from typing_extensions import override

from circuits.findings import as_path
from circuits.interventions.storage import decode, encode
from interp._util.schema import described, fits, parse_json, require_fields, short
from interp._util.versions import versions
from interp.checkpoints.saving import write_tensors
from interp.errors import InterpError, UnknownName, UnreadableFile, kind_of, unknown
from interp.hooked.foreign.several import as_inputs
from interp.notebook import tables
from interp.notebook.show import escaped, fold
from interp.notebook.tables import number
from interp.subject import Subject, as_subject

KEY, FORMAT = "interp_experiment", 1
WHAT = {
    "ablate": "circuits.experiments.ablation", "ablate_pairs": "circuits.discovery.interactions",
    "ablation_intervals": "circuits.experiments.intervals",
    "patch": "circuits.experiments.patching",
    "attribute": "circuits.experiments.attribution", "path_patch": "circuits.experiments.path_patching",
    "discover": "circuits.discovery.discover", "intervene": "circuits.experiments.intervene",
}  # fmt: skip


INPUTS = ("inputs", "clean", "corrupted")  # arguments for which a tuple or dict of tensors means `Inputs`
CELL = float | str | bool | None
HEADER = {
    "what": str,
    "arguments": dict[str, Any],
    "columns": dict[str, list[CELL | list[CELL]] | None],
    "subject": dict[str, str | int | None],
    "versions": dict[str, str],
}  # fmt: skip  of a file; `save` writes it


def _check_header(header: dict[str, Any]) -> None:
    """Refuse a header with parts of other kinds than `Outcome.save` writes."""
    for name, kind in HEADER.items():
        if not fits(header[name], kind):
            raise UnreadableFile(f"{name} must be {described(kind)}, got {short(header[name])}")
    if not isinstance(header["subject"].get("name"), str) or not fits(header["subject"].get("step"), int | None):
        raise UnreadableFile(f"subject needs a name and a step, got {short(header['subject'])}")


@dataclass(frozen=True, eq=False, init=False)
class Experiment:
    """An experiment as data: which function, with which arguments.

    >>> import torch, interp, tempfile
    >>> from circuits.interventions.values import Zero
    >>> model = interp.HookedMLP(interp.MLPConfig((4,), 5, d_vocab=5, d_embed=3)).init_weights(seed=0)
    >>> subject = interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model))
    >>> outcome = Experiment("ablate", kind="neurons", value=Zero(), metric="logit_diff").run(subject)
    >>> again = Outcome.load(outcome.save(tempfile.mkdtemp() + "/neurons.safetensors"))
    >>> again.experiment
    Experiment('ablate', kind='neurons', value=Zero(), metric='logit_diff')
    >>> again.difference(again.experiment.run(subject))
    0.0

    Attributes:
        what: ``ablate``, ``ablate_pairs``, ``ablation_intervals``, ``patch``, ``attribute``, ``path_patch``, ``discover`` or
            ``intervene``.
        arguments: its keyword arguments (of ``patch`` also ``clean``, ``corrupted`` and ``sites``).

    Raises:
        UnknownName: no such experiment; the nearest are named.
        InterpError: an argument that cannot be stored, such as a function as metric, or of a kind that the experiment does
            not take.
    """

    what: str
    arguments: dict[str, Any]

    def __init__(self, what: str, **arguments: Any):
        if what not in WHAT:
            raise UnknownName(unknown("experiment", what, WHAT))
        arguments = {name: as_inputs(v) if name in INPUTS else v for name, v in arguments.items()}
        encode(list(arguments.values()), {})  # refuses what cannot be stored
        try:
            require_fields(getattr(import_module(WHAT[what]), what), arguments, classes=True)
        except InterpError as error:
            raise InterpError(f"{what}: {error}") from None
        object.__setattr__(self, "what", what)
        object.__setattr__(self, "arguments", arguments)

    def run(self, subject: Subject, *, progress: Callable[[int, int], None] | None = None) -> Outcome:
        """Run the experiment.

        Args:
            subject: what it is done to; a hooked model too, if the arguments replace the task.
            progress: as in the experiment's function.

        Returns:
            what came out, with what is needed to check it: arguments, network and versions.

        Raises:
            InterpError: arguments that the experiment does not take, and whatever it raises itself.
            TypeError: a bug in a metric that is a function.
        """
        subject = as_subject(subject)
        function = getattr(import_module(WHAT[self.what]), self.what)
        shown = {"progress": progress} if progress is not None else {}
        try:
            found = function(subject, **self.arguments, **shown)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise InterpError(f"{self.what}: {error}") from None
        about = {"name": subject.name, "step": subject.step, "sha256": subject.provenance.sha256}
        return Outcome(self, found.rows, found.summary, about, versions())

    @override
    def __repr__(self) -> str:
        given = "".join(
            f", {k}={f'tensor{list(v.shape)}' if isinstance(v, Tensor) else repr(v)}" for k, v in self.arguments.items()
        )
        return f"Experiment({self.what!r}{given})"

    def _repr_html_(self) -> str:
        given = {k: f"tensor{list(v.shape)}" if isinstance(v, Tensor) else repr(v) for k, v in self.arguments.items()}
        return f"<p><b>Experiment: {escaped(self.what)}</b></p>{tables.pairs(given)}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of an experiment.

    Attributes:
        experiment: what was done.
        table: a row per component, cell, element or metric.
        summary: single numbers and texts: clean values, signs, a circuit's scores.
        subject: ``name, step, sha256`` of the network that it was done to.
        versions: of the libraries that were used.
    """

    experiment: Experiment
    table: pd.DataFrame
    summary: dict[str, Any]
    subject: dict[str, Any]
    versions: dict[str, str]

    def save(self, path: str | Path) -> Path:
        """Write it to one safetensors file; numbers are kept bit for bit.

        Args:
            path: of the file.

        Returns:
            the path.

        Raises:
            InterpError: the file cannot be written.
        """
        tensors: dict[str, Tensor] = {}
        arguments = {k: encode(v, tensors) for k, v in self.experiment.arguments.items()}
        columns = {}
        for name in self.table.columns:
            column = self.table[name].to_numpy()
            if column.dtype.kind == "f":
                columns[name], tensors[f"column {name}"] = None, torch.as_tensor(np.array(column, np.float64))
            else:
                columns[name] = column.tolist()
        header = {
            "format": FORMAT, "what": self.experiment.what, "arguments": arguments, "columns": columns,
            "summary": encode(self.summary, tensors), "subject": self.subject, "versions": self.versions,
        }  # fmt: skip
        path = as_path(path)
        write_tensors(path, tensors, {KEY: json.dumps(header)})
        return path

    @classmethod
    def load(cls, path: str | Path) -> Outcome:
        """Read what `save` wrote. Nothing in the file is run.

        Args:
            path: of the file.

        Returns:
            the outcome.

        Raises:
            UnreadableFile: there is no such file, or it is damaged or holds something else.
        """
        path = as_path(path)
        try:
            with safe_open(str(path), "pt") as file:
                text = (file.metadata() or {}).get(KEY)
                tensors = {name: file.get_tensor(name) for name in file.keys()} if text else {}  # noqa: SIM118
            if text is None:
                raise UnreadableFile(f"{path} holds no experiment (its header has no {KEY})")
            header = parse_json(text)
            if header["format"] != FORMAT:
                raise UnreadableFile(f"{path} is of format {short(header['format'])}; this version reads {FORMAT}")
            _check_header(header)
            arguments = {k: decode(v, tensors) for k, v in header["arguments"].items()}
            columns = {
                name: tensors[f"column {name}"].numpy() if given is None else given
                for name, given in header["columns"].items()
            }
            experiment = Experiment(header["what"], **arguments)
            summary = decode(header["summary"], tensors)
            if not isinstance(summary, dict):
                raise UnreadableFile(f"summary must be an object, got {short(summary)}")
            return cls(experiment, pd.DataFrame(columns), summary, header["subject"], header["versions"])
        except (OSError, SafetensorError) as error:
            raise UnreadableFile(f"{path}: cannot be read as an experiment ({error})") from None
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            said = str(path) in str(error)
            text = str(error) if said else f"{path}: damaged, or not written by Outcome.save ({error})"
            raise UnreadableFile(text) from None

    def difference(self, other: Outcome) -> float:
        """The largest difference between the two tables' numbers, relative to the largest of its column.

        Args:
            other: an outcome of the same experiment.

        Returns:
            the difference; 0 if all numbers are the same.

        Raises:
            InterpError: the tables have different rows, columns or texts.
        """
        if not isinstance(other, Outcome):
            raise InterpError(f"an outcome is compared with an Outcome, got {kind_of(other)}")
        if list(self.table.columns) != list(other.table.columns) or len(self.table) != len(other.table):
            raise InterpError(
                f"the outcomes have different rows or columns: {len(self.table)} by {list(self.table.columns)}, and "
                f"{len(other.table)} by {list(other.table.columns)}"
            )
        largest = 0.0
        for name in self.table.columns:
            a, b = self.table[name].to_numpy(), other.table[name].to_numpy()
            if a.dtype.kind not in "fiub":
                if a.tolist() != b.tolist():
                    raise InterpError(f"the outcomes differ in the column {name!r}")
                continue
            apart = np.abs(a.astype(float) - b.astype(float))
            apart = np.where(np.isnan(a.astype(float)) & np.isnan(b.astype(float)), 0.0, apart)
            size = np.nanmax(np.abs(a.astype(float)), initial=0.0)
            largest = max(largest, float(apart.max(initial=0.0)) / (size or 1.0))
        return largest

    @override
    def __repr__(self) -> str:
        return (
            f"{self.experiment!r} on {self.subject['name']} (step {self.subject.get('step')}): {len(self.table)} rows"
        )

    def _repr_html_(self) -> str:
        done = f"<p>on {escaped(self.subject['name'])}, step {escaped(number(self.subject.get('step')) or 'not known')}</p>"
        summary = fold("Summary", tables.pairs({k: number(v) for k, v in self.summary.items()}))
        return self.experiment._repr_html_() + done + summary + tables.table(self.table, largest=True)
