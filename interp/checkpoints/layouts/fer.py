"""CPPNs as akarshkumar0101/fer publishes them: ``Dense_i`` kernels, or all of them in one flat vector."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from typing_extensions import override

from interp._util.files import leads_out
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.reading import read
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.errors import InterpError, UnreadableFile
from interp.hooked.cppn.config import CPPNConfig

PARAMS, ARCH, ARGS = "params.pkl", "arch.pkl", "args.pkl"
KERNEL = re.compile(r"(?:params/)*Dense_(\d{1,6})/kernel")


class FerLayout(Layout):
    """The weights of Kumar et al. 2025 (https://arxiv.org/abs/2505.11581), as their code stores them.

    A folder holds ``params.pkl``, ``arch.pkl`` (a text) and, if the network was trained, ``args.pkl``.
    """

    name = "fer"
    summary = "CPPNs of akarshkumar0101/fer: Dense_i kernels or one flat vector, with an arch string"

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        kernels = bool(weights) and all(KERNEL.fullmatch(name) for name in weights)
        flat = len(weights) == 1 and next(iter(weights.values())).ndim == 1
        if not kernels and not flat:
            return Fit(False, 0.0, "neither Dense_i kernels nor one flat vector")
        if not isinstance(info.config.get("arch"), str):
            return Fit(False, 0.8 if kernels else 0.3, "no arch string with the weights: put arch.pkl next to them")
        return Fit(True, 1.0, certain=True)

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        config = CPPNConfig(info.config["arch"])
        shapes = kernel_shapes(config)
        names = [*(f"layers.{i}.W" for i in range(config.n_layers)), "unembed.W_U"]
        if len(weights) == 1 and next(iter(weights.values())).ndim == 1:
            kernels = _cut(next(iter(weights.values())).load(), shapes, config)
        else:
            kernels = {int(KERNEL.fullmatch(n)[1]): w for n, w in weights.items()}  # pyright: ignore[reportOptionalSubscript]
            if len(kernels) < len(weights):
                raise InterpError(f"two kernels have the same number: {', '.join(weights)[:200]}")
            held = {i: w.shape for i, w in kernels.items()}
            wrong = [
                f"Dense_{i} {list(s)}, not {list(held.get(i, ()))}" for i, s in enumerate(shapes) if held.get(i) != s
            ]
            wrong += [f"no Dense_{i}" for i in held if i >= len(shapes)]
            if wrong:
                raise InterpError(
                    f"the architecture {config.arch!r} does not fit the weights; it needs " + "; ".join(wrong[:4])
                )
            kernels = {i: w.load() for i, w in kernels.items()}
        return Converted(config, {name: kernels[i] for i, name in enumerate(names)})

    @override
    def weights_file(self, folder: Path) -> Path | None:
        return folder / PARAMS if (folder / PARAMS).is_file() and (folder / ARCH).is_file() else None

    @override
    def config_beside(self, folder: Path) -> dict[str, Any]:
        """The contents of ``arch.pkl`` and ``args.pkl``.

        Args:
            folder: of the weights.

        Returns:
            ``arch``, and the training arguments by name; empty if the folder has no ``arch.pkl``.

        Raises:
            UnreadableFile: ``arch.pkl`` does not hold a text.
        """
        config: dict[str, Any] = {}
        for name in (ARGS, ARCH) if (folder / ARCH).is_file() else ():
            if (folder / name).is_file() and not leads_out(folder / name):
                tree = read(folder / name).tree
                value = tree.state if isinstance(tree, Stub) else tree
                config |= {str(k): v for k, v in value.items()} if isinstance(value, dict) else {"arch": value}
        if config and not isinstance(config.get("arch"), str):
            raise UnreadableFile(
                f"{folder / ARCH} does not hold a text, so the architecture of the weights is not known"
            )
        return config


def kernel_shapes(config: CPPNConfig) -> list[tuple[int, int]]:
    """Shape ``[in, out]`` of every layer's weights, including the last."""
    width = config.width
    return [(config.d_in, width), *[(width, width)] * (config.n_layers - 1), (width, 3)]


def flat_index(config: CPPNConfig, index: int) -> tuple[int, int, int]:
    """Layer, row and column of an entry of the authors' flat vector.

    Its layers are in the alphabetical order of their names: Dense_0, Dense_1, Dense_10, ...

    Args:
        config: of the network.
        index: of the entry, from 0.

    Returns:
        Layer, row (input) and column (output).

    Raises:
        InterpError: an index outside the vector.

    >>> flat_index(CPPNConfig("12;cache:15,gaussian:4,identity:2,sin:1"), 4371)  # the skull's mouth
    (7, 15, 15)
    """
    for layer, (rows, columns) in _alphabetical(kernel_shapes(config)) if index >= 0 else ():
        if index < rows * columns:
            return layer, *divmod(index, columns)
        index -= rows * columns
    raise InterpError(f"{index} is not an index of the weights of {config.arch!r}")


def _alphabetical(shapes: list[tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
    return sorted(enumerate(shapes), key=lambda item: str(item[0]))


def _cut(flat: torch.Tensor, shapes: list[tuple[int, int]], config: CPPNConfig) -> dict[int, torch.Tensor]:
    total = sum(rows * columns for rows, columns in shapes)
    if len(flat) != total:
        raise InterpError(f"the architecture {config.arch!r} needs {total:,} weights, and the file holds {len(flat):,}")
    kernels, start = {}, 0
    for layer, (rows, columns) in _alphabetical(shapes):
        kernels[layer] = flat[start : start + rows * columns].reshape(rows, columns)
        start += rows * columns
    return kernels


LAYOUT = FerLayout()
