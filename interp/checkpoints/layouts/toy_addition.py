"""The toy model of Liu et al. 2022 with its data: an embedding per number, added, and a tanh decoder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.errors import InterpError
from interp.hooked.mlp.config import MLPConfig
from interp.tasks import ToyAddition, given_to, task_to_dict

DECODER = re.compile(r"decoder\.(\d{1,3})\.(weight|bias)")
DATA = ("pairs", "train", "targets")


class ToyAdditionLayout(Layout):
    """A network of Liu et al. 2022 (https://arxiv.org/abs/2205.10343, ejmichaud/grokking-squared) and what it is trained on."""

    name = "toy_addition"
    summary = "toy model of addition: embedding [p, d], decoder.i.weight and bias; with its data: pairs, train, targets"
    options: ClassVar[Mapping[str, str]] = {"act_fn": "the decoder's activation (tanh as published)"}

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        names = ["embedding", "decoder.0.weight", "decoder.0.bias", *DATA]
        missing = [n for n in names if n not in weights]
        if missing:
            near = len(missing) == 1  # nothing else has its data beside the weights
            share = 1 - len(missing) / len(names)
            return Fit(False, 0.97 if near else 0.4 * share, f"it also needs {', '.join(missing)}")
        if problem := _problem(weights):
            return Fit(False, 0.97, problem)
        return Fit(True, 1.0)

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        p, d_embed = weights["embedding"].shape
        layers = _layers(weights)
        config = MLPConfig(
            hidden=tuple(weights[f"decoder.{i}.weight"].shape[0] for i in layers[:-1]),
            d_out=weights[f"decoder.{layers[-1]}.weight"].shape[0],
            d_vocab=p, d_embed=d_embed, combine="sum", act_fn=options.get("act_fn", "tanh"),
        )  # fmt: skip
        found = {"embed.W_E": weights["embedding"].load()}
        for place, i in enumerate(layers):
            last = i == layers[-1]
            matrix, bias = (weights[f"decoder.{i}.{part}"].load() for part in ("weight", "bias"))
            found["unembed.W_U" if last else f"layers.{place}.W"] = matrix.T
            found["unembed.b_U" if last else f"layers.{place}.b"] = bias
        task = ToyAddition(p)
        rows, train = _rows(task, weights["pairs"].load()), weights["train"].load().long()
        if len(train) and not 0 <= int(train.min()) <= int(train.max()) < len(rows):
            raise InterpError(f"train must list rows of pairs, 0 to {len(rows) - 1}; it reaches to {int(train.max())}")
        train = rows[train]
        task = given_to(task, train_indices=train, targets=weights["targets"].load())
        used = {"embedding", *DATA, *(n for n in weights if DECODER.fullmatch(n))}
        note = f"the file lists its data: {len(train)} of {len(task.labels)} pairs train, and the vectors of {2 * p - 1} sums"
        return Converted(config, found, tuple(n for n in weights if n not in used), (note,), task_to_dict(task))


def _layers(weights: Weights) -> list[int]:
    """Numbers of the decoder's layers, first to last."""
    return sorted({int(m[1]) for n in weights if (m := DECODER.fullmatch(n))})


def _problem(weights: Weights) -> str | None:
    """Why the shapes are not those of the toy model."""
    embedding, pairs, train, targets = (weights[n] for n in ("embedding", *DATA))
    if embedding.ndim != 2 or targets.ndim != 2 or train.ndim != 1 or pairs.ndim != 2 or embedding.shape[0] < 2:
        return "embedding [p, d], pairs [n, 2], train [k] and targets [2p - 1, dim] have other shapes"
    if pairs.dtype.is_floating_point or train.dtype.is_floating_point:
        return "pairs and train must be whole numbers"
    p, layers = embedding.shape[0], _layers(weights)
    if pairs.shape != (p * (p + 1) // 2, 2) or targets.shape[0] != 2 * p - 1:
        return (
            f"{p} numbers have {p * (p + 1) // 2} pairs i <= j and {2 * p - 1} sums, the file has {pairs.shape[0]} pairs and "
            f"{targets.shape[0]} targets"
        )
    names = [f"decoder.{i}.{part}" for i in layers for part in ("weight", "bias")]
    if missing := [n for n in names if n not in weights or weights[n].ndim != 2 - n.endswith("bias")]:
        return f"it also needs {missing[0]}"
    widths = [embedding.shape[1], *(weights[f"decoder.{i}.weight"].shape[0] for i in layers)]
    for i, (before, after) in zip(layers, pairwise(widths), strict=True):
        matrix, bias = weights[f"decoder.{i}.weight"], weights[f"decoder.{i}.bias"]
        if matrix.shape != (after, before) or bias.shape != (after,):
            return f"decoder.{i}.weight is {list(matrix.shape)} behind a layer of {before}"
    return (
        None if widths[-1] == targets.shape[1] else f"the decoder has {widths[-1]} outputs, targets {targets.shape[1]}"
    )


def _rows(task: ToyAddition, pairs: Tensor) -> Tensor:
    """Where each pair of the file stands among the task's ``[n]``."""
    i, j = pairs.long().sort(1).values.unbind(1)
    place = torch.full((task.p, task.p), -1)
    place[task.pairs[:, 0], task.pairs[:, 1]] = torch.arange(len(task.pairs))
    if int(i.min()) < 0 or int(j.max()) >= task.p or len(rows := place[i, j].unique()) < len(pairs) or int(rows[0]) < 0:
        raise InterpError(f"pairs must list every pair of numbers from 0 to {task.p - 1} once")
    return place[i, j]


LAYOUT = ToyAdditionLayout()
