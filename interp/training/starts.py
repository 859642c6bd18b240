"""Given weights: what networks of a run start from, and masks that hold weights at 0, copied into the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp._util.files import refuse_link
from interp._util.schema import fits
from interp.checkpoints.saving import write_tensors
from interp.errors import InterpError, UnknownName, UnreadableFile, unknown
from interp.hooked.initial import SCHEMES

FILE = "start.safetensors"
Shapes = Mapping[str, tuple[int, ...]]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Starts:
    """Given weights by name: the values that ``init`` and ``mask`` of a plan and of its members may have.

    Attributes:
        described: per name where the weights came from, as plain values; its order numbers them in the file.
        held: their tensors, before they are written.
        folder: of the run, where they are read from afterwards.
    """

    described: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    held: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict, repr=False, compare=False)
    folder: Path | None = field(default=None, repr=False, compare=False)
    _read: dict[tuple[str, bool], Tensors] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __contains__(self, name: object) -> bool:
        return name in self.described

    def tensors(self, name: str, shapes: Shapes, mask: bool = False) -> Tensors:
        """The weights under a name.

        Args:
            name: one of `described`.
            shapes: of the network's parameters.
            mask: it is used as a mask, which need not name every parameter.

        Returns:
            tensors by the names of parameters, on the CPU.

        Raises:
            InterpError: a parameter that is missing, unknown, or of another shape; an entry that is not finite.
            UnreadableFile: the run's folder does not hold them.
        """
        if (name, mask) not in self._read:
            found = self.held[name] if name in self.held else self._from_folder(name, shapes)
            _check(("mask" if mask else "init") + f" {name}", found, shapes, mask)
            self._read[name, mask] = dict(found)
        return self._read[name, mask]

    def _from_folder(self, name: str, shapes: Shapes) -> Tensors:
        if self.folder is None:
            raise InterpError(
                f"the weights of {name!r} are in the folder of a run: open the plan with interp.Run(folder)"
            )
        path, prefix = self.folder / FILE, f"{list(self.described).index(name)}/"
        refuse_link(path)
        try:
            with safe_open(path, "pt") as file:
                keys = {k.removeprefix(prefix): k for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118  not a dict
                for own, key in keys.items():
                    if (held := tuple(file.get_slice(key).get_shape())) != shapes.get(own):
                        raise UnreadableFile(
                            f"{path}: {key} is {list(held)}, the network has {list(shapes.get(own, ()))}"
                        )
                return {own: file.get_tensor(key) for own, key in keys.items()}
        except (SafetensorError, OSError) as error:
            raise UnreadableFile(
                f"{path}, which holds the weights that the run starts from, cannot be read ({str(error)[:100]}); restore it, or "
                "train again into another folder"
            ) from None

    def write(self, folder: Path) -> None:
        """Write the tensors into the folder of a run; nothing where there are none.

        Raises:
            InterpError: the folder cannot be written.
        """
        if self.described:
            tensors = {
                f"{i}/{name}": tensor
                for i, key in enumerate(self.described)
                for name, tensor in (self.held[key] if key in self.held else self._all(key)).items()
            }
            write_tensors(folder / FILE, tensors, {}, durable=True)

    def _all(self, name: str) -> Tensors:
        """Everything under a name in the run's file, as a shard copies it."""
        assert self.folder is not None
        prefix = f"{list(self.described).index(name)}/"
        with safe_open(self.folder / FILE, "pt") as file:
            return {k.removeprefix(prefix): file.get_tensor(k) for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118

    def at(self, folder: Path) -> Starts:
        """The same weights, to be read from a run's folder."""
        return Starts(self.described, {}, folder) if self.described else self

    def to_dict(self) -> dict[str, Any]:
        """Where they came from, for ``run.json``."""
        return {name: dict(what) for name, what in self.described.items()}

    @classmethod
    def from_dict(cls, stored: Any) -> Starts:
        """What `to_dict` wrote; `at` says where the tensors are.

        Args:
            stored: its values.

        Returns:
            the names, without tensors.

        Raises:
            InterpError: something else.
        """
        if not fits(stored, dict[str, dict[str, Any]]):
            raise InterpError("starts must be an object that describes given weights by their names")
        return cls(stored)


def check_names(own: Mapping[str, Any], starts: Starts) -> None:
    """Refuse an ``init`` that is neither a scheme nor given weights, and a ``mask`` that is not given.

    Args:
        own: settings of the run, or of a member.
        starts: the given weights.

    Raises:
        UnknownName: the message says what is possible.
    """
    for name, kind in (("init", "initialisation"), ("mask", "mask")):
        value = own.get(name)
        if value is not None and value not in starts and not (name == "init" and value in SCHEMES):
            known = [*(SCHEMES if name == "init" else ()), *starts.described]
            raise UnknownName(unknown(kind, str(value), known))


def _check(what: str, found: Mapping[str, Tensor], shapes: Shapes, mask: bool) -> None:
    for name, tensor in found.items():
        if name not in shapes:
            raise InterpError(f"{what}: " + unknown("parameter of the network", name, shapes))
        if tuple(tensor.shape) != shapes[name]:
            raise InterpError(
                f"{what}: {name} is {list(tensor.shape)} there and {list(shapes[name])} in the network that is trained; "
                + (
                    "a mask has the network's own shapes"
                    if mask
                    else "leave the model out to train that network itself"
                )
            )
    if not mask:
        missing = [name for name in shapes if name not in found]
        if missing:
            raise InterpError(f"{what}: {', '.join(missing[:4])} of the network that is trained is not there")
        for name, tensor in found.items():
            if not bool(tensor.isfinite().all()):
                raise InterpError(f"{what}: {name} holds NaN or infinity; training cannot start from it")
    elif not found:
        raise InterpError(f"{what} names no parameter of the network")
