"""The suite's own entry in the header of a safetensors file: config, task and step, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interp._util.schema import fits, parse_json, short
from interp._util.versions import __version__
from interp.errors import UnreadableFile
from interp.hooked.config import Config
from interp.tasks import Task, task_to_dict

HEADER = "interp"  # the metadata key of the entry
ADVICE = "save the model again with interp.save"


def header_text(
    config: Config,
    task: Task | None,
    step: int | None,
    members: int | None = None,
    cohorts: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The JSON text of the entry.

    Args:
        config: of the model.
        task: what it was trained on, if known.
        step: the training step, if known.
        members: the tensors have a first axis of that many networks.
        cohorts: where these differ in shape, a dict for each group of equal ones: ``prefix`` of the names of its tensors,
            ``members`` along their first axis, ``config`` and ``task``.

    Returns:
        What `read_header` reads back.
    """
    header: dict[str, Any] = {
        "version": __version__,
        "config": config.to_dict(),
        "step": None if step is None else int(step),
    }
    if task is not None:
        header["task"] = task_to_dict(task)
    if members is not None:
        header["members"] = members
    if cohorts is not None:
        header["cohorts"] = list(cohorts)
    return json.dumps(header)


def read_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The suite's entry in a file's metadata.

    Args:
        metadata: the header of a safetensors file.

    Returns:
        The fields that `header_text` wrote; empty if the metadata have no such entry.

    Raises:
        UnreadableFile: the entry is damaged.
    """
    if HEADER not in metadata:
        return {}
    try:
        header = parse_json(metadata[HEADER])
    except UnreadableFile as error:
        raise UnreadableFile(f"the header's {HEADER!r} entry is {error}; {ADVICE}") from None
    if not isinstance(header, dict) or not isinstance(header.get("config"), dict):
        raise UnreadableFile(f"the header's {HEADER!r} entry has no config; {ADVICE}")
    for name, kind in (("step", int | None), ("task", dict[str, Any] | None), ("members", int | None),
                       ("cohorts", list[dict[str, Any]] | None)):  # fmt: skip
        if not fits(header.get(name), kind):
            raise UnreadableFile(f"the {name} in the header's {HEADER!r} entry is {short(header[name])}; {ADVICE}")
    for cohort in header.get("cohorts") or ():
        kinds = {"prefix": str, "members": list[int], "config": dict[str, Any], "task": dict[str, Any] | None}
        if wrong := [n for n, kind in kinds.items() if not fits(cohort.get(n), kind)]:
            raise UnreadableFile(
                f"a cohort in the header's {HEADER!r} entry has no {wrong[0]} that can be read; {ADVICE}"
            )
    return header


@dataclass(frozen=True)
class Place:
    """Where one of several networks is in a file.

    Attributes:
        prefix: of the names of its tensors.
        row: its place along their first axis.
        header: the entry, with the config and the task of this network.
    """

    prefix: str
    row: int
    header: Mapping[str, Any]


def place_of(header: Mapping[str, Any], member: int) -> Place | None:
    """Where a network is in a file that holds several.

    Args:
        header: as `read_header` returns it, with ``members``.
        member: the number of the network.

    Returns:
        its place; None where the file does not hold it.
    """
    if not header.get("cohorts"):
        return Place("", member, header) if 0 <= member < header["members"] else None
    for cohort in header["cohorts"]:
        if member in cohort["members"]:
            own = {"config": cohort["config"], "task": cohort.get("task")}
            return Place(cohort["prefix"], cohort["members"].index(member), {**header, **own, "cohorts": None})
    return None
