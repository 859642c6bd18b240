"""Parts of one network's step side by side, where torch has several threads; every operation uses one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from interp._util.threads import Lanes, threads


class Parts:
    """Lanes for the parts of a step, unless the step itself runs in a lane beside others."""

    def __init__(self) -> None:
        self._lanes, self._many = Lanes(), False

    @contextmanager
    def step(self) -> Iterator[None]:
        """One thread for everything in the block that is not handed to `run`.

        Yields:
            nothing.
        """
        self._many = torch.get_num_threads() > 1
        with threads(1):
            yield

    def run(self, work: Sequence[Callable[[], object]]) -> None:
        """Do all pieces; see `Lanes.run`."""
        if self._many:
            self._lanes.run(work, 1)
        else:
            for piece in work:
                piece()
