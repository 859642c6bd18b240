"""Images of handwritten digits: scikit-learn's, MNIST, or any set in the same format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked import HookedModel
from interp.tasks.base import Task
from interp.tasks.checks import check_common, require_count, text_field
from interp.tasks.digit_files import digit_keys, read_digits
from interp.tasks.files import FileKey
from interp.tasks.scaling import Scale, scale_field, scaled
from interp.tasks.splits import ranges

ORDERS = ("first", "random")


@dataclass(frozen=True)
class Digits(Task):
    """Which digit an image shows; the inputs are its pixels, from 0 to 1 or scaled as the network knew them, row by row.

    >>> task = Digits(n_train=100)
    >>> task.d_in, task.image_shape, len(task.train_indices), len(task.test_indices)
    (64, (8, 8), 100, 1697)

    Attributes:
        path: the folder of MNIST's four IDX files (gzipped or not), or an NPZ file with ``x_train, y_train, x_test,
            y_test`` (Keras' ``mnist.npz``), or with only ``x, y`` or ``data, target``. Bytes are divided by 255, other
            numbers are taken as they are. Without a path: the 1,797 digits of 8x8 pixels that come with scikit-learn.
        n_train: examples that are trained on.
        n_test: examples that are tested on, the first of the test set; all of it by default. If the data has no test
            set of its own, these are the examples that are not trained on.
        mean: what the network was trained on is ``(pixel - mean) / std`` of pixels from 0 to 1: one number, or one per
            channel. MNIST networks often have ``mean=0.1307, std=0.3081``. 0 by default.
        std: see ``mean``; 1 by default. ``std=0.0039215686`` (1/255) gives pixels from 0 to 255.
        images: whether inputs are images ``[n, channel, row, column]``, as convolutions take them, not rows of pixels.
        order: ``"first"`` trains on the first ``n_train`` examples, as published runs on MNIST do; ``"random"`` draws
            them (``torch.randperm``), and if the data has no test set, the test examples too.
        seed: of the random order.
        loss: one of `LOSSES`.

    Raises:
        InterpError: missing or damaged files, or more examples than there are.
    """

    name: ClassVar[str] = "digits"
    summary: ClassVar[str] = "images of digits: scikit-learn's 8x8, MNIST's files, or an NPZ file"
    LOSSES: ClassVar[tuple[str, ...]] = ("mse", "cross_entropy", "effective")
    paths: ClassVar[tuple[str, ...]] = ("path",)
    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "path": "folder of MNIST's IDX files, or an .npz file; scikit-learn's 8x8 digits by default",
        "n_train": "examples that are trained on",
        "n_test": "examples that are tested on; all the rest by default",
        "mean": "inputs are (pixel - mean) / std, of pixels from 0 to 1: a number, or (r, g, b); MNIST's is 0.1307",
        "std": "see mean; MNIST's is 0.3081",
        "images": "inputs are images (channel, row, column), as convolutions take them, in place of rows of pixels",
        "order": "which examples are trained on: first, or random ones",
        "seed": "seed of the random order",
    }

    path: str = ""
    n_train: int = 1000
    n_test: int | None = None
    order: str = "first"
    seed: int = 0
    loss: str = "mse"
    mean: Scale = None
    std: Scale = None
    images: bool = False

    def __post_init__(self) -> None:
        if self.path is None:
            object.__setattr__(self, "path", "")
        text_field(self, "path")
        require_count(self, "n_train")
        if self.n_test is not None:
            require_count(self, "n_test", 0)
        if self.order not in ORDERS:
            raise UnknownName(unknown("order for digits", self.order, ORDERS))
        check_common(self)
        if not isinstance(self.images, bool):
            raise InterpError(f"digits: images must be true or false, got {self.images!r}")
        self._check_numbers()
        mean, std = scale_field(self, "mean"), scale_field(self, "std")
        if isinstance(mean, tuple) or isinstance(std, tuple):
            scaled(torch.zeros(1, *self.image_shape), mean, std)  # refuses what fits no axis

    def _check_numbers(self) -> None:
        files = read_digits(self._keys)
        train = len(files.labels) if files.n_train is None else files.n_train
        test = len(files.labels) - (min(self.n_train, train) if files.n_train is None else train)
        for name, wanted, there in (("n_train", self.n_train, train), ("n_test", self.n_test or 0, test)):
            if wanted > there:
                raise InterpError(f"digits: {name}={wanted}, but {self.path or 'the set'} has {there} such examples")

    @cached_property
    def _keys(self) -> tuple[FileKey, ...]:
        return digit_keys(self.path)

    @cached_property
    def _examples(self) -> tuple[Tensor, Tensor]:
        pixels, labels = choose(self._keys, self.n_train, self.n_test, self.seed if self.order == "random" else None)
        if self.mean is None and self.std is None and not self.images:
            return pixels, labels
        images = scaled(pixels.unflatten(1, self.image_shape), self.mean, self.std)
        return (_channels_first(images) if self.images else images.flatten(1)), labels

    @property
    @override
    def purpose(self) -> str:
        return "recognises digits"

    @override
    def make_inputs(self) -> Tensor:
        """The chosen examples ``[n, d_in]``, or as images ``[n, channel, row, column]``; those to train on first."""
        return self._examples[0]

    @override
    def make_labels(self) -> Tensor:
        return self._examples[1]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Rows and columns of an image."""
        return read_digits(self._keys).images.shape[1:]

    @property
    def d_in(self) -> int:
        """Number of pixels."""
        return math.prod(self.image_shape)

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        return ranges(self.n_train, len(self.labels) - self.n_train)

    @property
    @override
    def n_outputs(self) -> int:
        return int(read_digits(self._keys).labels.max()) + 1

    @override
    def spec_options(self) -> dict[str, Any]:
        absent = (("path", ""), ("n_test", None), ("mean", None), ("std", None), ("images", False))
        return {k: v for k, v in super().spec_options().items() if (k, v) not in absent}

    @override
    def fit(self, model: HookedModel) -> Self:
        if model.config.kind == "wrapped":
            return self  # whether it takes the inputs shows when it runs
        self._fit_vectors(model, self.d_in)
        return self


def _channels_first(images: Tensor) -> Tensor:
    """Images with a channel axis before rows and columns; of two that could be the channels, the last if it is 1, 3 or 4."""
    if images.ndim == 3:
        return images.unsqueeze(1)
    return images.movedim(-1, 1) if images.shape[-1] in (1, 3, 4) and images.shape[1] not in (1, 3, 4) else images


@lru_cache(maxsize=4)
def choose(keys: tuple[FileKey, ...], n_train: int, n_test: int | None, seed: int | None) -> tuple[Tensor, Tensor]:
    """Inputs ``[n, d_in]`` and labels ``[n]`` of the chosen examples, cached for all tasks that choose the same."""
    files = read_digits(keys)
    pool = len(files.labels) if files.n_train is None else files.n_train
    order = torch.arange(pool)
    if seed is not None:
        order = torch.randperm(pool, generator=torch.Generator().manual_seed(seed))
    tests = order[n_train:] if files.n_train is None else torch.arange(pool, len(files.labels))
    chosen = torch.cat([order[:n_train], tests[:n_test]]).numpy()
    pixels = torch.from_numpy(files.images[chosen].astype(np.float32)).flatten(1) / files.scale
    return pixels, torch.from_numpy(files.labels[chosen])
