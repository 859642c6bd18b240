"""Our own checkpoints: safetensors with config, task and step in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from interp.checkpoints.layouts import Converted, FileInfo, Fit, Weights
from interp.errors import UnreadableFile
from interp.hooked import config_from_dict

ADVICE = "save the model again with interp.save"
HEADER = "interp"  # the metadata key that holds our JSON


class SuiteLayout:
    name = "suite"
    summary = "this suite's own safetensors (config and task in the header)"
    options: Mapping[str, str] = {}

    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        if HEADER in info.metadata:
            return Fit(True, 1.0, certain=True)
        return Fit(False, 0.0, f"no {HEADER!r} entry in the safetensors header")

    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        header = read_header(info.metadata)
        return Converted(
            config_from_dict(header["config"]),
            {n: w.load() for n, w in weights.items()},
            task=header.get("task"),
        )


def read_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The JSON that `save` put into a safetensors header; an empty dict where there is none."""
    if HEADER not in metadata:
        return {}
    try:
        header = json.loads(metadata[HEADER])
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"the header's {HEADER!r} entry is no JSON ({error}); {ADVICE}") from None
    if not isinstance(header, dict) or not isinstance(header.get("config"), dict):
        raise UnreadableFile(f"the header's {HEADER!r} entry has no config; {ADVICE}")
    for name, kinds in (("step", (int, type(None))), ("task", (dict, type(None))), ("members", (int, type(None)))):
        if not isinstance(header.get(name), kinds):
            raise UnreadableFile(f"the header's {HEADER!r} entry has {header[name]!r} for its {name}; {ADVICE}")
    return header


LAYOUT = SuiteLayout()
