"""Images of handwritten digits: scikit-learn's, MNIST, or any set in the same format."""

from __future__ import annotations

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
from interp.tasks.splits import ranges

ORDERS = ("first", "random")


@dataclass(frozen=True)
class Digits(Task):
    """Which digit an image shows; the inputs are its pixels, from 0 to 1, row by row.

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
        "order": "which examples are trained on: first, or random ones",
        "seed": "seed of the random order",
    }

    path: str = ""
    n_train: int = 1000
    n_test: int | None = None
    order: str = "first"
    seed: int = 0
    loss: str = "mse"

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
        self._check_numbers()

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
        return choose(self._keys, self.n_train, self.n_test, self.seed if self.order == "random" else None)

    @override
    def make_inputs(self) -> Tensor:
        """The chosen examples ``[n, d_in]``, those to train on first."""
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
        return self.inputs.shape[1]

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        return ranges(self.n_train, len(self.labels) - self.n_train)

    @property
    @override
    def n_outputs(self) -> int:
        return int(read_digits(self._keys).labels.max()) + 1

    @override
    def spec_options(self) -> dict[str, Any]:
        return {k: v for k, v in super().spec_options().items() if (k, v) not in (("path", ""), ("n_test", None))}

    @override
    def fit(self, model: HookedModel) -> Self:
        self._fit_vectors(model, self.d_in)
        return self


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
