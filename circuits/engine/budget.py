"""Budgets: how much memory the experiments use, and the pieces that their work is cut into."""

from __future__ import annotations

from collections.abc import Iterator

from circuits.engine.evaluation import Evaluation
from interp.activations.capture import capture

DEFAULT_BYTES = 512 << 20  # working memory in addition to the captured activations
CACHE_ELEMENTS = 1 << 17  # elementwise work goes in pieces that stay in a core's cache (1 MiB of float64)
CPU_PIECE = 20 << 20  # bytes of activations that run again at once on a CPU: larger pieces leave its caches
BATCH = 4096  # inputs per forward pass while activations are captured


def inputs_at_once(evaluation: Evaluation, max_bytes: int) -> int:
    """How many inputs may run at once within ``max_bytes`` of activations."""
    one = capture(evaluation.model, evaluation.inputs[:1], "*")
    per_example = sum(t.nbytes for t in one.values())  # every activation, though few live at once
    limit = min(max_bytes, CPU_PIECE) if evaluation.inputs.device.type == "cpu" else max_bytes
    return max(1, limit // per_example)


def slices(total: int, size: int) -> Iterator[slice]:
    """Consecutive slices of ``range(total)``, the last one possibly shorter."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
