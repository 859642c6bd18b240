"""Replays: a module runs again from a hook point on, while what it had finished before that is not computed again.

The module's own ``forward`` runs, so it need not be a chain: submodules that had returned before the hook point fired return
what they returned then. Nothing that a later change does can reach them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from interp.hooked.foreign.structures import mapped, tensors

Install = Callable[[str, nn.Module, Callable[..., Any]], Callable[..., Any]]


@dataclass
class Call:
    """One call of a submodule that ended before the hook point fired.

    Attributes:
        name: of the submodule.
        index: how often it had been called before.
        began: when it began and
        ended: when it ended, in the order of all beginnings and ends.
        output: a copy of what it returned.
        in_place: whether it changed its inputs, so that it has to run.
    """

    name: str
    index: int
    began: int
    ended: int
    output: Any
    in_place: bool


@dataclass
class Recording:
    """What a module had finished when a hook point first fired.

    Attributes:
        calls: the outermost calls that need not run again.
        unread: those whose output goes to another of them only (neighbours in a Sequential).
        batch_axes: by name, index and path of an output tensor, where its examples lie; None: it is the same for all.
    """

    calls: list[Call]
    unread: set[tuple[str, int]] = field(default_factory=set)
    batch_axes: dict[tuple[str, int, str], int | None] = field(default_factory=dict)

    def located(self, fewer: Recording) -> bool:
        """Find the batch axes by comparison with a recording of one example less.

        Args:
            fewer: of the same inputs without the last.

        Returns:
            whether every tensor has one batch axis at most, and both recordings are of the same calls.
        """
        if [(c.name, c.index) for c in self.calls] != [(c.name, c.index) for c in fewer.calls]:
            return False
        for mine, theirs in zip(self.calls, fewer.calls, strict=True):
            a, b = tensors(mine.output), tensors(theirs.output)
            if a.keys() != b.keys() or not a:
                return False
            for path, tensor in a.items():
                if tensor.ndim != b[path].ndim:
                    return False
                axes = [i for i, (m, n) in enumerate(zip(tensor.shape, b[path].shape, strict=True)) if m != n]
                if len(axes) > 1:
                    return False
                self.batch_axes[mine.name, mine.index, path] = axes[0] if axes else None
        return True

    def output(self, call: Call, copies: int) -> Any:
        """What a call returned, for several copies of the batch one after the other."""
        if (call.name, call.index) in self.unread:
            return call.output

        def tiled(path: str, tensor: Tensor) -> Tensor:
            axis = self.batch_axes[call.name, call.index, path]
            if axis is None:
                return tensor.clone()
            return tensor.repeat(*[copies if i == axis else 1 for i in range(tensor.ndim)])

        return mapped(call.output, tiled)


class Recorder:
    """Records the calls of a module's submodules until it is told to stop.

    Args:
        module: runs once while it records.
    """

    def __init__(self, module: nn.Module):
        self._module, self._calls, self._counts = module, [], {}
        self._clock, self._stopped = 0, False

    def stop(self) -> None:
        """The hook point has fired: what ends later is not recorded."""
        self._stopped = True

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what runs in the block.

        Yields:
            nothing.
        """
        with _forwards(self._module, self._watched):
            yield

    def _watched(self, name: str, _module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            index, began = self._counts.get(name, 0), self._clock
            self._counts[name] = index + 1
            self._clock += 1
            given = [(t, _version(t)) for t in (*tensors(args).values(), *tensors(kwargs).values())]
            output = forward(*args, **kwargs)
            if not self._stopped:
                changed = any(_version(t) != version for t, version in given)
                copied = mapped(output, lambda _path, t: t.detach().clone())
                self._calls.append(Call(name, index, began, self._clock, copied, changed))
                self._clock += 1
            return output

        return watched

    def found(self) -> Recording:
        """The outermost calls that ended, and which of them nobody reads.

        Returns:
            the recording.
        """
        usable = [c for c in self._calls if not c.in_place and tensors(c.output)]
        outermost = [c for c in usable if not any(d.began < c.began and c.ended < d.ended for d in usable)]
        return Recording(outermost, self._unread(outermost))

    def _unread(self, calls: list[Call]) -> set[tuple[str, int]]:
        """Calls of a Sequential's children whose next sibling is among the calls too."""
        modules, known = dict(self._module.named_modules()), {(c.name, c.index) for c in calls}
        found = set()
        for name, index in known:
            parent, _, own = name.rpartition(".")
            holder = modules[parent]
            if not name or not isinstance(holder, nn.Sequential) or type(holder).forward is not nn.Sequential.forward:
                continue
            keys = list(holder._modules)
            after = keys[keys.index(own) + 1 :][:1]
            once = sum(m is modules[name] for m in self._module.modules()) == 1 and self._counts[name] == 1
            if once and after and (f"{parent}.{after[0]}" if parent else after[0], 0) in known:
                found.add((name, index))
        return found


@contextmanager
def replayed(module: nn.Module, recording: Recording, copies: int) -> Iterator[None]:
    """Within the block, what a recording holds is not computed again.

    Args:
        module: the recorded one.
        recording: of it, on the inputs that it runs on in the block.
        copies: how often the batch is repeated, one copy after the other.

    Yields:
        nothing.
    """
    calls, counts = {(c.name, c.index): c for c in recording.calls}, {}
    names = {c.name for c in recording.calls}

    def install(name: str, _module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def replay(*args: Any, **kwargs: Any) -> Any:
            index = counts.get(name, 0)
            counts[name] = index + 1
            call = calls.get((name, index))
            return forward(*args, **kwargs) if call is None else recording.output(call, copies)

        return replay if name in names else forward

    with _forwards(module, install):
        yield


@contextmanager
def _forwards(module: nn.Module, install: Install) -> Iterator[None]:
    """The ``forward`` of every submodule replaced in this thread; they are put back however the block ends."""
    owner, replaced = threading.get_ident(), []
    try:
        for name, m in module.named_modules():
            if isinstance(m, torch.jit.ScriptModule):
                continue
            forward, before = m.forward, m.__dict__.get("forward")
            new = install(name, m, forward)
            if new is forward:
                continue
            replaced.append((m, before))
            m.__dict__["forward"] = _for_thread(owner, new, forward)
        yield
    finally:
        for m, before in reversed(replaced):
            if before is None:
                m.__dict__.pop("forward", None)
            else:
                m.__dict__["forward"] = before


def _for_thread(owner: int, new: Callable[..., Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    def either(*args: Any, **kwargs: Any) -> Any:
        return (new if threading.get_ident() == owner else forward)(*args, **kwargs)

    return either


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
