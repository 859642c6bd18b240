"""How many updates an epoch of a run has, where its members have batches or train sets of different sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp.errors import InterpError
from interp.tasks import Task
from interp.training.members import OWN
from interp.training.plan import require_whole


def steps_per_epoch(task: Task, batch: int | None, members: Sequence[Any], *, asked: bool = False) -> int:
    """Updates in a pass over the train set; where members differ, in that of the member that needs most.

    All members of a run make the same number of updates. Counted so, none sees its train set fewer times than asked for.

    Args:
        task: of the run.
        batch: examples per update; None for the whole train set.
        members: their own settings.
        asked: the user asked for this batch, so that a train set which is smaller is refused; the batch of a recipe is the
            whole train set then. A member's own batch is always the user's.

    Returns:
        number of updates.

    Raises:
        InterpError: a member whose batch size or task cannot be; a batch larger than the train set.
    """
    own = [(i, {n: v for n, v in m.items() if n not in OWN}) for i, m in enumerate(members) if isinstance(m, Mapping)]
    different = {repr(settings): (i, settings) for i, settings in reversed(own) if settings}
    used = len(different) == 0 or any(not settings for _, settings in own)  # by a member without settings of its own
    return max(
        [_steps(task, batch, {}, asked and used), *(_of_member(task, batch, asked, *one) for one in different.values())]
    )


def _of_member(task: Task, batch: int | None, asked: bool, index: int, own: Mapping[str, Any]) -> int:
    try:
        return _steps(task, batch, own, asked or "batch_size" in own)
    except InterpError as error:
        raise type(error)(f"member {index} {dict(own)}: {error}") from None


def _steps(task: Task, batch: int | None, own: Mapping[str, Any], asked: bool) -> int:
    size = own.get("batch_size", batch)
    if size is None or size == "full":
        return 1
    require_whole("batch_size", size)
    n = len(task.of_member(own).train_indices)
    if asked and size > n:
        raise InterpError(
            f"batch_size {size:,} is more than the {n:,} examples of the train set: give at most {n:,}, or 'full'"
        )
    return -(-n // size)
