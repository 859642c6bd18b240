"""How many members fit into memory, and how many train fastest together."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from interp.errors import InterpError
from interp.hooked import HookedModel, build
from interp.tasks import Task
from interp.training.plan import DTYPES, Plan
from interp.training.updates.optimizers import BatchedOptimizer

CACHE_BYTES = 18 << 20  # what a block touches per step should stay near a CPU's last cache
GPU_BYTES = 4 << 30  # what the activations of a block may take on a GPU
BACKWARD = 3  # activations live until the backward pass, which makes about as many again, and temporaries


def activation_numbers(model: HookedModel, task: Task) -> int:
    """How many numbers pass through the hook points for one example."""
    one = task.inputs[:1]
    with torch.no_grad():
        _, cache = model.run_with_cache(one.to(model.dtype) if one.is_floating_point() else one)
    return sum(t.numel() for t in cache.values())


def member_bytes(plan: Plan, model: HookedModel) -> int:
    """Bytes of one member's weights, gradients and moments."""
    numbers = sum(p.numel() for p in model.parameters())
    return numbers * (2 + len(BatchedOptimizer.kinds(plan.optimizer))) * DTYPES[plan.dtype].itemsize


def activation_bytes(plan: Plan, task: Task, model: HookedModel) -> int:
    """Bytes of the activations of one member's training step."""
    batch = min(plan.batch_size or math.inf, len(task.train_indices))
    return int(batch * activation_numbers(model, task) * BACKWARD * DTYPES[plan.dtype].itemsize)


def products(plan: Plan, task: Task, model: HookedModel) -> int:
    """Multiplications of one member's training step: forward, to the inputs, and to the weights."""
    return 3 * min(plan.batch_size or 10**9, len(task.train_indices)) * sum(p.numel() for p in model.parameters())


def block_size(plan: Plan, task: Task, model: HookedModel, device: torch.device, lanes: int = 1) -> int:
    """Members per block: on a CPU what stays near its last cache, on a GPU what fits beside the weights.

    Args:
        plan: of the run.
        task: of its first member.
        model: the network.
        device: where it trains.
        lanes: blocks that are trained side by side; none of these is left without members.

    Returns:
        how many.
    """
    members = len(plan.members)
    if members == 1:
        return 1
    activations = activation_bytes(plan, task, model)
    if device.type == "cpu":
        return max(1, min(-(-members // lanes), CACHE_BYTES // (member_bytes(plan, model) + activations)))
    return max(1, min(members, GPU_BYTES // activations))


def available_bytes(device: torch.device) -> int:
    """Free memory on a device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 8 << 30


def check_weights(plan: Plan, device: torch.device) -> HookedModel:
    """Refuse a network whose weights alone would not fit into memory, before any memory is taken; see `check_memory`.

    Args:
        plan: of the run.
        device: where it trains.

    Returns:
        the network without weights.

    Raises:
        InterpError: it is too large; the message has the estimate.
    """
    try:
        with torch.device("meta"):
            model = build(plan.model)
            each = member_bytes(plan, model)
    except RuntimeError as error:  # sizes beyond what torch can count
        raise InterpError(f"no network can be built from {plan.model}: {str(error).splitlines()[0]}") from None
    free = available_bytes(device)
    if each > free:
        raise InterpError(
            f"the weights, gradients and moments of one network take {each / 2**30:,.1f} GiB, and {free / 2**30:.1f} GiB are "
            f"free on {device}: make the network smaller"
        )
    return model


def check_memory(
    plan: Plan, task: Task, model: HookedModel, device: torch.device, size: int, free: int | None = None
) -> int:
    """Refuse an ensemble that would not fit into memory.

    Args:
        plan: of the run.
        task: of its first member.
        model: the network.
        device: where it trains.
        size: members per block.
        free: bytes that other ensembles of the run leave; None: there are none.

    Returns:
        bytes that are left.

    Raises:
        InterpError: too many members; the message has the estimate and the largest ensemble that fits.
    """
    examples = task.inputs[:1].numel() * len(task.labels) * 4
    own = examples if len({plan.member_task(i).seed for i in range(len(plan.members))}) > 1 else 0
    # repacking and resuming hold a second copy of weights and moments for a moment; saving holds none
    each = 2 * member_bytes(plan, model) + own
    step = size * activation_bytes(plan, task, model)
    needed, free = each * len(plan.members) + step + examples, available_bytes(device) if free is None else free
    if needed > free:
        largest = max(0, (free - step - examples) // each)
        raise InterpError(
            f"{len(plan.members):,} members need about {needed / 2**30:.1f} GiB on {device}, and {free / 2**30:.1f} GiB are "
            f"free; the largest ensemble that fits has {largest:,} members: split the grid, or make the network smaller"
        )
    return free - needed
