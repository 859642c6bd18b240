"""An ensemble: members that share their shape and their step, in blocks that train in lockstep, and those that have retired."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from interp._util.threads import Lanes, Result
from interp.errors import InterpError
from interp.hooked import HookedModel, build
from interp.subject import at_readout
from interp.tasks import Task
from interp.training.block import Block, planned_by_hand
from interp.training.counts import Counts
from interp.training.data import examples
from interp.training.masks import check_fit, held_at_zero, hold
from interp.training.members import seed_of
from interp.training.memory import block_size, check_memory, check_weights, products
from interp.training.plan import DTYPES, MEMORISED, Plan
from interp.training.thresholds import Threshold
from interp.training.updates.fixed_norm import as_form, radii
from interp.training.updates.frozen import frozen_names
from interp.training.updates.optimizers import BatchedOptimizer
from interp.training.updates.penalties import norms

WORTH_THREADS = 100_000_000  # multiplications of a step; below, threads wait longer for each other than they work
MEMORISED_FROM = Threshold(0.999, ">")  # train accuracy, as in Fuangkawinsombut 2024


@dataclass
class Status:
    """What one member has reached.

    Attributes:
        train_at: first measured step whose train accuracy reached the threshold of retirement; -1: not yet.
        test_at: the same for test accuracy.
        late_since: step at which its weight decay became the late one; -1: not yet.
        retired_at: step at which it stopped; -1: it trains.
    """

    train_at: int = -1
    test_at: int = -1
    late_since: int = -1
    retired_at: int = -1


class Ensemble:
    """The members of a plan at a step, on a device; at first with newly drawn weights at step 0.

    Args:
        plan: what is trained.
        device: where.
        size: members per block; by default as many as are likely to train fastest.
        tasks: of the members, as the model takes them, whose weights were checked; by default those of the plan.
        free: bytes of memory that other ensembles of the run leave; None: there are none.
        alone: whether it is the only ensemble of its run, and should keep all threads busy by itself.

    Attributes:
        step: number of updates made.
        counts: how many examples each member has.
        blocks: the members that still train.
        final: last weights of those that have retired, by member.
        left: bytes of memory that it leaves.
        side_by_side: whether its blocks share nothing, so that each can have a thread.
        threads: for a block that has no other beside it.

    Raises:
        InterpError: members that do not fit the model, each other, or the memory.
    """

    def __init__(
        self, plan: Plan, device: torch.device, size: int | None = None, tasks: Sequence[Task] = (), free: int | None = None,
        alone: bool = True,
    ):  # fmt: skip
        self.plan, self.device, self.step, self._lanes = plan, device, 0, Lanes()
        self.dtype = DTYPES[plan.dtype]
        if device.type == "mps" and self.dtype == torch.float64:
            raise InterpError("MPS has no float64: use --dtype float32, or --device cpu")
        if not tasks:
            check_weights(plan, device)  # before any memory is taken
        template = build(plan.model).to(self.dtype)
        self.shapes = {n: tuple(p.shape) for n, p in template.named_parameters()}
        self.groups = template.parameter_groups()
        self.frozen = frozen_names(self.groups, plan.frozen)
        n = len(plan.members)
        tasks = tasks or [plan.member_task(i).fit(template) for i in range(n)]
        self.counts = [Counts.of(task) for task in tasks]
        self.task = tasks[0]
        self.statuses = [Status() for _ in range(n)]
        self.side_by_side = device.type == "cpu" and planned_by_hand(plan, template, self.task) is not None
        self._alone = alone
        lanes = self._lanes.count if self.side_by_side and alone else 1
        self.threads = 1 if products(plan, self.task, template) < WORTH_THREADS else self._lanes.count
        self.size = block_size(plan, self.task, template, device, lanes) if size is None else size
        self.left = check_memory(plan, self.task, template, device, self.size, free)
        self.train = examples(tasks, "train", device, self.dtype)
        self.test = examples(tasks, "test", device, self.dtype)
        batched = plan.batch_size is not None and plan.batch_size < len(self.train)
        if self.train.weights is not None and (batched or self.task.loss == "effective"):
            raise InterpError(
                f"members have {min(self.train.sizes)} to {max(self.train.sizes)} training examples; in one block batches and "
                "the effective loss need the same number for all"
            )
        self.model = at_readout(template, self.task).to(device) if plan.readout else template.to(device)
        self.final: dict[int, dict[str, Tensor]] = {}
        order = self._order(range(n))
        start = self._initial(template, order)
        form = as_form(plan.fixed_norm)
        self.kept = None if form is None else radii(start, order, form, self.frozen)
        self._pack(order, start, None)

    def _initial(self, template: HookedModel, ids: Sequence[int]) -> dict[str, Tensor]:
        plan = self.plan
        check_fit(plan, self.shapes)
        stacks = {n: torch.empty(len(ids), *s, dtype=self.dtype) for n, s in self.shapes.items()}
        for place, i in enumerate(ids):
            init, scale = plan.setting(i, "init"), plan.setting(i, "init_scale")
            if init in plan.starts:
                given = plan.starts.tensors(init, self.shapes)
                template.load_state_dict({n: t.to(self.dtype) * scale for n, t in given.items()}, strict=False)
            else:
                try:
                    template.cpu().init_weights(seed_of(plan.members[i], "init"), scale, init)
                except InterpError as error:
                    raise type(error)(f"{error}, with init= (--init), for the run or this member alone") from None
            for name, parameter in template.named_parameters():
                stacks[name][place] = parameter.detach()
                if "embedding" in self.groups[name]:
                    stacks[name][place] *= plan.setting(i, "embedding_scale")
        hold(stacks, held_at_zero(plan, ids, self.shapes))
        return {n: s.to(self.device) for n, s in stacks.items()}

    @property
    def alive(self) -> list[int]:
        """Members that still train, in the order of the run."""
        return sorted(i for block in self.blocks for i in block.ids)

    def _order(self, ids: Sequence[int] | range) -> list[int]:
        """Members with equal rates side by side, so that one kernel serves a run of them."""
        return sorted(ids, key=lambda i: (sorted(self._rates(i).items()), i))

    def _rates(self, member: int) -> dict[str, tuple[float, float]]:
        optimizer, late = self.plan.member_optimizer(member), self.plan.late_weight_decay
        rates = {n: (0.0, 0.0) if n in self.frozen else optimizer.rates(self.groups[n]) for n in self.shapes}
        if late is not None and self.statuses[member].late_since >= 0:
            rates = {name: (lr, late if decay else decay) for name, (lr, decay) in rates.items()}
        return rates

    def _pack(
        self, ids: Sequence[int], parameters: Mapping[str, Tensor], moments: Mapping[str, Tensor] | None,
        rows: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """Make the blocks from stacks, whose ``rows`` (all, in order) are ``ids``; names in the model's order, as norms sum."""
        self.blocks = []
        places = torch.tensor(rows or range(len(ids)), dtype=torch.long, device=self.device)
        size = self.size
        if self.side_by_side and self._alone and ids:
            # two blocks or more, and an even number of them: two cores are busy to the end
            count = min(len(ids), 2 * -(-len(ids) // (2 * size)))
            size = -(-len(ids) // count)
        for start in range(0, len(ids), size):
            part = slice(start, min(start + size, len(ids)))
            own = list(ids[part])
            rates = [self._rates(i) for i in own]
            self.blocks.append(
                Block(
                    self.plan, self.model, self.task, own,
                    {n: parameters[n][places[part]] for n in self.shapes},
                    None if moments is None else {n: m[places[part]] for n, m in moments.items()},
                    {name: [r[name] for r in rates] for name in self.shapes},
                    self.train.of(own), self.test.of(own), None if self.kept is None else [self.kept[i] for i in own],
                )
            )  # fmt: skip

    def advance(self, stop: int) -> None:
        """Train every member that has not retired up to the step ``stop``."""
        self._each(lambda block: block.advance(self.step, stop))
        self.step = stop

    def _each(self, work: Callable[[Block], Result]) -> list[Result]:
        """Do something with every block, side by side where blocks share nothing."""
        pieces = [partial(work, block) for block in self.blocks]
        return self._lanes.run(pieces, self.threads) if self.side_by_side else [piece() for piece in pieces]

    @property
    def ended(self) -> list[int]:
        """Members that train and whose own updates are made, before those of the run are."""
        return [i for i in self.alive if self.plan.ends[i] <= self.step < self.plan.steps]

    def measure(self, members: Collection[int] | None = None) -> list[dict[str, float | int | None]]:
        """Measure members that train (all by default): a row each, in the order of the run; and note what they have reached."""
        rows = [row for found in self._each(self._measure) for row in found]
        rows = [row for row in rows if members is None or row["member"] in members]
        rows.sort(key=lambda row: row["member"] or 0)
        late = [self._note(row) for row in rows]
        if any(late):
            self._renew_rates()
        return rows

    def _measure(self, block: Block) -> list[dict[str, float | int | None]]:
        columns: dict[str, Tensor | None] = {}
        for part in ("train", "test"):
            found = block.measure(part)
            columns[f"{part}_loss"], columns[f"{part}_accuracy"] = found.loss, found.accuracy
        columns["weight_norm"] = (
            norms(block.parameters).double() if self.device.type != "mps" else norms(block.parameters)
        )
        present = {name: column for name, column in columns.items() if column is not None}
        table = torch.stack(list(present.values())).tolist()  # one transfer from the device
        return [
            {"step": self.step, "member": i, **{n: _finite(table[k][j]) for k, n in enumerate(present)}}
            for j, i in enumerate(block.ids)
        ]

    def _note(self, row: Mapping[str, float | int | None]) -> bool:
        """Record what a member has reached; returns whether its weight decay becomes the late one now."""
        member = int(row["member"] or 0)
        status, own = self.statuses[member], self.counts[member]
        train, test = row.get("train_accuracy"), row.get("test_accuracy")
        if self.plan.retire is not None:
            threshold = Threshold(self.plan.retire, self.plan.retire_side)
            if status.train_at < 0 and train is not None and threshold.reached(train, own.train_n):
                status.train_at = self.step
            if status.test_at < 0 and test is not None and threshold.reached(test, own.test_n):
                status.test_at = self.step
        waits = self.plan.late_weight_decay is not None and self.plan.late_at == MEMORISED and status.late_since < 0
        if not waits or train is None or not MEMORISED_FROM.reached(train, own.train_n):
            return False
        status.late_since = self.step
        return True

    def raise_weight_decay(self) -> None:
        """Give all members their late weight decay, from this step on."""
        for i in self.alive:
            self.statuses[i].late_since = self.step
        self._renew_rates()

    def _renew_rates(self) -> None:
        for block in self.blocks:
            rates = [self._rates(i) for i in block.ids]
            block.optimizer.set_rates({name: [r[name] for r in rates] for name in self.shapes})

    def retire(self) -> list[int]:
        """Stop the members whose train and test accuracy have both reached the threshold, or whose updates are made."""
        ended = self.ended
        if self.plan.retire is None and not ended:
            return []
        decided = [i for i in self.alive if i in ended or min(self.statuses[i].train_at, self.statuses[i].test_at) >= 0]
        if decided:
            ids, parameters, moments = self.stacks()
            place = {i: k for k, i in enumerate(ids)}
            for i in decided:
                self.final[i] = {n: p[place[i]].cpu().clone() for n, p in parameters.items()}
                self.statuses[i].retired_at = self.step
            left = [i for i in ids if i not in decided]
            self._pack(left, parameters, moments, [place[i] for i in left])
        return decided

    def stacks(self) -> tuple[list[int], dict[str, Tensor], dict[str, Tensor]]:
        """The members that train, in the order of the blocks; their parameters and moments, stacked in that order."""
        ids = [i for block in self.blocks for i in block.ids]
        parameters = {
            n: torch.cat([b.parameters[n].detach() for b in self.blocks]) for n in self.shapes
        } if self.blocks else {}  # fmt: skip
        moments = {
            f"{kind}.{n}": torch.cat([b.optimizer.moments[kind][n] for b in self.blocks])
            for kind in BatchedOptimizer.kinds(self.plan.optimizer) for n in self.shapes
        } if self.blocks else {}  # fmt: skip
        return ids, parameters, moments

    def weights(self) -> dict[str, Tensor]:
        """The weights of all members ``[member, ...]`` in the order of the run, on the CPU; those of retired ones are final."""
        stacks = {n: torch.empty(len(self.statuses), *s, dtype=self.dtype) for n, s in self.shapes.items()}
        ids, parameters, _ = self.stacks()
        for name, stack in stacks.items():
            if ids:
                stack[torch.tensor(ids)] = parameters[name].cpu()
            for i, own in self.final.items():
                stack[i] = own[name]
        return stacks

    def restore(
        self, step: int, statuses: Sequence[Status], ids: Sequence[int], parameters: Mapping[str, Tensor],
        moments: Mapping[str, Tensor], final: Mapping[int, dict[str, Tensor]],
    ) -> None:  # fmt: skip
        """Continue from what `stacks`, ``statuses`` and ``final`` were at a step."""
        self.step, self.statuses, self.final = step, list(statuses), dict(final)
        place = [{n: t.to(self.device) for n, t in tensors.items()} for tensors in (parameters, moments)]
        self._pack(list(ids), place[0], place[1] if moments else None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
