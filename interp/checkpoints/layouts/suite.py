"""Our own checkpoints: safetensors with config, task and step in the header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from interp.checkpoints.formats.header import HEADER, read_header
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.hooked import config_from_dict


class SuiteLayout(Layout):
    """What `interp.save` and training write."""

    name = "suite"
    summary = "this suite's own safetensors (config and task in the header)"

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        if HEADER in info.metadata:
            return Fit(True, 1.0, certain=True)
        return Fit(False, 0.0, f"no {HEADER!r} entry in the safetensors header")

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        header = read_header(info.metadata)
        return Converted(
            config_from_dict(header["config"]),
            {n: w.load() for n, w in weights.items()},
            task=header.get("task"),
        )


LAYOUT = SuiteLayout()
