"""How many updates an epoch of a run has, where its members have batches or train sets of different sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp.errors import InterpError
from interp.tasks import Task
from interp.training.members import OWN
from interp.training.plan import require_whole


def steps_per_epoch(task: Task, batch: int | None, members: Sequence[Any]) -> int:
    """Updates in a pass over the train set; where members differ, in that of the member that needs most.

    All members of a run make the same number of updates. Counted so, none sees its train set fewer times than asked for.

    Args:
        task: of the run.
        batch: examples per update; None for the whole train set.
        members: their own settings.

    Returns:
        number of updates.

    Raises:
        InterpError: a member whose batch size or task cannot be.
    """
    own = [(i, {n: v for n, v in m.items() if n not in OWN}) for i, m in enumerate(members) if isinstance(m, Mapping)]
    different = {repr(settings): (i, settings) for i, settings in reversed(own) if settings}
    return max([_steps(task, batch, {}), *(_of_member(task, batch, *one) for one in different.values())])


def _of_member(task: Task, batch: int | None, index: int, own: Mapping[str, Any]) -> int:
    try:
        return _steps(task, batch, own)
    except InterpError as error:
        raise type(error)(f"member {index} {dict(own)}: {error}") from None


def _steps(task: Task, batch: int | None, own: Mapping[str, Any]) -> int:
    size = own.get("batch_size", batch)
    if size is None or size == "full":
        return 1
    require_whole("batch_size", size)
    return -(-len(task.of_member(own).train_indices) // size)
