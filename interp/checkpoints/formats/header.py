"""The suite's own entry in the header of a safetensors file: config, task and step, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from interp._util.schema import fits, parse_json, short
from interp._util.versions import __version__
from interp.errors import UnreadableFile
from interp.hooked.config import Config
from interp.tasks import Task, task_to_dict

HEADER = "interp"  # the metadata key of the entry
ADVICE = "save the model again with interp.save"


def header_text(config: Config, task: Task | None, step: int | None, members: int | None = None) -> str:
    """The JSON text of the entry.

    Args:
        config: of the model.
        task: what it was trained on, if known.
        step: the training step, if known.
        members: the tensors have a first axis of that many networks.

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
    for name, kind in (("step", int | None), ("task", dict[str, Any] | None), ("members", int | None)):
        if not fits(header.get(name), kind):
            raise UnreadableFile(f"the {name} in the header's {HEADER!r} entry is {short(header[name])}; {ADVICE}")
    return header
