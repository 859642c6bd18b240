"""Results of an interrupted report: the same analysis of the same network takes them instead of computing them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp._util.versions import versions
from interp.plugins.fingerprint import fingerprint, source_digest
from interp.plugins.result import Result
from interp.subject import Subject


class Earlier:
    """Finished results by key: those found of an earlier report, and those of this one.

    Args:
        find: the result under a key, None where there is none.

    Attributes:
        finished: every result of this report so far, by key.
        taken: how many of them came from the earlier report.
    """

    def __init__(self, find: Callable[[str], Result | None]):
        self._find = find
        self.finished: dict[str, Result] = {}
        self.taken = 0
        self._known: list[tuple[Subject, str]] = []

    def key(self, subject: Subject | Sequence[Subject], function: Callable[..., Result], **more: Any) -> str:
        """What a result depends on, as a digest.

        Args:
            subject: the network, or several of a joint analysis.
            function: of the analysis; its code counts.
            **more: name, options and seed.

        Returns:
            64 hexadecimal digits; versions of libraries count as well.
        """
        networks = self._of(subject) if isinstance(subject, Subject) else [self._of(one) for one in subject]
        return digest(networks, fingerprint(function), more, versions())

    def take(self, key: str) -> Result | None:
        """The earlier report's result, if it has one."""
        result = self._find(key)
        if result is not None:
            self.taken += 1
            self.finished[key] = result
        return result

    def _of(self, subject: Subject) -> str:
        for known, found in self._known:
            if known is subject:
                return found
        self._known.append((subject, of_subject(subject)))
        return self._known[-1][1]


_earlier: ContextVar[Earlier | None] = ContextVar("earlier", default=None)


@contextmanager
def resuming(earlier: Earlier) -> Iterator[None]:
    """Within the block, `analyze` takes results from ``earlier``, and hands it what is finished."""
    token = _earlier.set(earlier)
    try:
        yield
    finally:
        _earlier.reset(token)


def resumed() -> Earlier | None:
    """The `Earlier` of the block that is running, if any."""
    return _earlier.get()


def digest(*parts: Any) -> str:
    """A SHA-256 digest of plain values.

    Args:
        *parts: what JSON holds; anything else counts by its text.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def of_subject(subject: Subject) -> str:
    """A digest of a network and of everything known about it: weights, config, task, code, curves, and its run's files."""
    model = subject.model
    classes = {type(module) for module in model.modules()}
    return digest(
        subject.name, asdict(subject.provenance), subject.warnings, subject.step, str(subject.precision), subject.members,
        type(model).__qualname__, model.config.to_dict(), str(model.device), str(subject.task), subject.curves,
        sorted(source_digest(one) for one in classes),
        [(name, str(t.dtype), list(t.shape), _contents(t)) for name, t in model.state_dict().items()],
        _files(subject),
    )  # fmt: skip


def _contents(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()


def _files(subject: Subject) -> list[tuple[str, int, int]]:
    """Name, size and time of the series' checkpoints, and of the run's plan."""
    paths = {entry.path for entry in subject.series.entries} if subject.series is not None else set()
    paths.add(Path(subject.origin.get("source", "")) / "run.json")
    states = [(path, path.stat()) for path in sorted(paths) if path.is_file()]
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]
