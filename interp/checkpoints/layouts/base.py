"""The contract of a layout: from foreign names and shapes to our configs and weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError
from interp.hooked.config import Config
from interp.tasks import Task

Weights = Mapping[str, TensorRef]


@dataclass(frozen=True)
class Fit:
    """How well tensors fit a layout.

    Attributes:
        ok: whether they can be converted.
        score: 0 to 1; if no layout fits, the message names the one with the highest score.
        reason: why they do not fit, in a few words.
        certain: the file itself names this layout, so no other is considered.
        question: what the user must settle, because two readings fit.
        reading: how the tensors would be read, where that is inferred; a sentence.
    """

    ok: bool
    score: float
    reason: str = ""
    certain: bool = False
    question: str = ""
    reading: str = ""


@dataclass(frozen=True)
class Converted:
    """Weights under our names, with the config that they belong to.

    Attributes:
        config: of the model.
        weights: by our names, in our shapes.
        extra: tensors of the file that are not part of the model, such as masks; reported, not an error.
        notes: what the file does not state and was assumed, to be shown to the user.
        task: a task stored with the weights, as `tasks.task_to_dict` wrote it.
        warnings: reasons why the model computes something different from the file's, such as unmapped weights.
    """

    config: Config
    weights: dict[str, Tensor]
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    task: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileInfo:
    """What was found beside the tensors: the format's header and the training config, both possibly empty.

    Attributes:
        metadata: the format's header.
        config: the training config, from the file or from one beside it.
        ordered: whether the tensors come in the order in which the network registered them.
        path: of the file, for messages; None for tensors in memory.
        remarks: what could not be put together or read, to be said where no layout fits.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    ordered: bool = True
    path: Path | None = None
    remarks: tuple[str, ...] = ()


class Layout(ABC):
    """Names and shapes that somebody's code gives to weights, and how to turn them into one of our models.

    A layout is registered by an instance, as an entry point in the group ``interp.layouts``. `matches` and `convert` are
    required; the other methods have defaults for layouts without files or configs of their own.

    Attributes:
        name: as on the command line, and the name of the entry point.
        summary: one line.
        options: what a user may settle: name and meaning.
        by_hand: whether it is taken only where the user names it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[Mapping[str, str]] = {}
    by_hand: ClassVar[bool] = False

    @abstractmethod
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        """Whether names and shapes fit; no tensor is read."""

    @abstractmethod
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        """Read the tensors and rename, reshape, transpose them."""

    def fits_by_hand(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Fit:
        """Whether they fit with the options that a user gives; as `matches` unless options say how to read them."""
        return self.matches(weights, info)

    def weights_file(self, folder: Path) -> Path | None:
        """The file with the weights in a folder that this layout recognises by its file names; None for any other."""
        return None

    def config_beside(self, folder: Path) -> dict[str, Any]:
        """The training config in files of this layout's own beside the weights; empty if there are none."""
        return {}

    def task(self, config: Mapping[str, Any]) -> tuple[Task | None, str | None]:
        """The task that a training config describes, and a note on what it leaves open; None and None for other configs."""
        return None, None


def unmapped_weights(extra: Sequence[str]) -> tuple[str, ...]:
    """Warnings for weights inside the blocks without a counterpart in our model; masks and constants need none.

    Args:
        extra: names of the tensors that were not converted.

    Returns:
        One warning a weight.
    """
    inside = [n for n in extra if "blocks." in n and not n.endswith((".mask", ".IGNORE"))]
    return tuple(f"{name} has no counterpart in this model, so the two compute different functions" for name in inside)


def option_value(layout: Layout, options: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    """The value of an option that must be one of a few words.

    Args:
        layout: the option's.
        options: what the user gave.
        name: of the option.
        allowed: the words.

    Returns:
        The word; None if the option was not given.

    Raises:
        InterpError: another value.
    """
    value = options.get(name)
    if value is not None and value not in allowed:
        raise InterpError(f"layout {layout.name}: {name} must be one of {', '.join(allowed)}, got {value!r}")
    return value
