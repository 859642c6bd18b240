"""How a foreign module runs while it is measured: in evaluation mode, and as if it had not run at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from interp.errors import InterpError, UnknownName, unknown

Mode = Literal["eval", "as_is"]
MODES: tuple[Mode, ...] = get_args(Mode)
ALIKE_IN_BOTH = (nn.RNN, nn.LSTM, nn.GRU)  # without dropout; cuDNN differentiates them in training mode only
_LOCK = threading.RLock()


@dataclass
class _Held:
    """A submodule that is kept in evaluation mode, and by whom."""

    module: nn.Module
    owners: set[object] = field(default_factory=set)


_HELD: dict[int, _Held] = {}  # by id; each holds its module, so that no id is used again


@dataclass(frozen=True)
class RunSettings:
    """How `wrap` was asked to run a module, and what its trial run showed.

    Args:
        mode: ``"eval"``: in evaluation mode, submodule by submodule; ``"as_is"``: in the modes that they are in.
        output: path of the tensor that counts as the output (`structures.tensors`); None: the logits, or else the first.
        constants: keyword arguments that the module is called with every time.
        several: whether it takes several inputs (`interp.Inputs`).
        random: whether it draws random numbers in evaluation mode, too.
        buffers: names of the buffers that it changes in evaluation mode, too.
    """

    mode: Mode = "eval"
    output: str | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    several: bool = False
    random: bool = False
    buffers: tuple[str, ...] = ()


def require_mode(mode: object) -> None:
    """Refuse what is not a mode.

    Args:
        mode: what the user gave.

    Raises:
        UnknownName: a mode that does not exist.
        InterpError: not a text.
    """
    if not isinstance(mode, str):
        raise InterpError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if mode not in MODES:
        raise UnknownName(unknown("mode", mode, MODES))


@contextmanager
def measured(module: nn.Module, settings: RunSettings) -> Iterator[None]:
    """Run the block as a measurement: buffers and torch's random state stay, and modes are put back.

    Args:
        module: runs in the block.
        settings: in which mode, and which of its buffers change.

    Yields:
        nothing.
    """
    as_is = settings.mode == "as_is"
    changing = tuple(name for name, _ in module.named_buffers()) if as_is else settings.buffers
    with _modes(module, as_is), _buffers_kept(module, changing), _random_state_kept(module, settings.random or as_is):
        yield


@contextmanager
def in_evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Run the block in evaluation mode; afterwards each submodule is in its own mode again.

    Blocks may be nested, and several threads may be in blocks on one module: the last to leave puts the modes back.

    Args:
        module: runs in the block.

    Yields:
        nothing.
    """
    me, modules = object(), list(module.modules())
    try:
        with _LOCK:
            for m in modules:
                if id(m) in _HELD or (m.training and not _alike(m)):
                    _HELD.setdefault(id(m), _Held(m)).owners.add(me)
                    m.training = False
        yield
    finally:
        with _LOCK:
            for m in modules:
                held = _HELD.get(id(m))
                if held is None or me not in held.owners:
                    continue
                if len(held.owners) == 1:
                    m.training = True
                    del _HELD[id(m)]
                held.owners.discard(me)


def _alike(module: nn.Module) -> bool:
    return isinstance(module, nn.RNNBase) and type(module) in ALIKE_IN_BOTH and module.dropout == 0


@contextmanager
def _modes(module: nn.Module, as_is: bool) -> Iterator[None]:
    if as_is:
        yield
        return
    with in_evaluation_mode(module):
        yield


@contextmanager
def _buffers_kept(module: nn.Module, names: tuple[str, ...]) -> Iterator[None]:
    """The block runs on copies of these buffers, so that the gradients of its outputs outlive it."""
    own: list[tuple[nn.Module, str, Tensor]] = []
    for name in names:
        prefix, _, key = name.rpartition(".")
        holder = module.get_submodule(prefix)
        buffer = holder._buffers[key]
        if buffer is not None:
            own.append((holder, key, buffer))
    try:
        for holder, key, buffer in own:
            holder._buffers[key] = buffer.clone()
        yield
    finally:
        for holder, key, buffer in own:
            holder._buffers[key] = buffer


@contextmanager
def _random_state_kept(module: nn.Module, draws: bool) -> Iterator[None]:
    if not draws:
        yield
        return
    places = {p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(places)):
        yield


class Traces:
    """What a module changes when it runs in evaluation mode: buffers, and torch's random state. Both are put back.

    Args:
        module: to watch.

    Attributes:
        random: whether torch's random state moved.
        buffers: names of the buffers that changed.
    """

    def __init__(self, module: nn.Module):
        self.random, self.buffers = False, ()
        self._module = module

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what runs in the block, in evaluation mode.

        Yields:
            nothing.
        """
        before = {name: buffer.clone() for name, buffer in self._module.named_buffers()}
        with in_evaluation_mode(self._module), _buffers_kept(self._module, tuple(before)):
            with _random_state_kept(self._module, True):
                state = _random_state(self._module)
                yield
                self.random = any(
                    not torch.equal(a, b) for a, b in zip(state, _random_state(self._module), strict=True)
                )
            after = dict(self._module.named_buffers())
            self.buffers = tuple(n for n, b in before.items() if n not in after or not _same(b, after[n]))


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


def _random_state(module: nn.Module) -> list[Tensor]:
    places = sorted({p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"})
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(place) for place in places)]
