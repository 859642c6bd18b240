"""Learning rates that change over a run, as a factor on every rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from interp._util.specs import parse_value
from interp.errors import InterpError, UnknownName, require_range, unknown

KINDS = ("constant", "linear", "cosine", "exponential", "step")
FINAL = {"linear": 0.0, "cosine": 0.0, "exponential": 0.01}


@dataclass(frozen=True)
class LRSchedule:
    """The factor on the learning rates at every update.

    Attributes:
        kind: one of `KINDS`.
        final: of linear, cosine, exponential: the factor that is reached at the end of the run.
        size: of ``step``: updates between two drops.
        gamma: of ``step``: what each drop multiplies by.
    """

    kind: str = "constant"
    final: float = 0.0
    size: int = 1
    gamma: float = 1.0

    @classmethod
    def parse(cls, text: str) -> LRSchedule:
        """A schedule as typed.

        Args:
            text: ``constant``; ``linear``, ``cosine`` or ``exponential``, with the final factor behind a colon where it is not
                0, 0 and 0.01; ``step:SIZE:GAMMA``.

        Returns:
            the schedule.

        Raises:
            UnknownName: no such schedule.
            InterpError: numbers that do not fit.

        >>> LRSchedule.parse("cosine:0.1")
        LRSchedule(kind='cosine', final=0.1, size=1, gamma=1.0)
        """
        if not isinstance(text, str):
            raise InterpError(f"lr_schedule is a text such as 'cosine:0.1', got {text!r}")
        kind, *given = text.split(":")
        if kind not in KINDS:
            raise UnknownName(unknown("learning-rate schedule", kind, KINDS))
        numbers = [parse_value(part) for part in given]
        form = {"constant": "constant", "step": "step:SIZE:GAMMA, such as step:1000:0.5"}.get(kind, f"{kind}:FINAL")
        wanted = {"constant": (0,), "step": (2,)}.get(kind, (0, 1))
        if len(numbers) not in wanted or not all(isinstance(n, (int, float)) for n in numbers):
            raise InterpError(f"cannot read the learning-rate schedule {text!r}: write {form}")
        if kind == "constant":
            return cls()
        if kind == "step":
            size, gamma = numbers
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise InterpError(f"lr_schedule {text!r}: the steps between two drops must be a whole number above 0")
            require_range("gamma of lr_schedule", gamma, 0)
            return cls(kind, size=size, gamma=float(gamma))
        final = float(numbers[0]) if numbers else FINAL[kind]
        require_range("the final factor of lr_schedule", final, 0)
        if kind == "exponential" and final == 0:
            raise InterpError("an exponential schedule never reaches 0: give a final factor above 0")
        return cls(kind, final)

    @property
    def spans(self) -> bool:
        """Whether it runs from the first update to the last, so that it depends on their number."""
        return self.kind in FINAL

    def factor(self, step: int, steps: int) -> float:
        """The factor of an update.

        Args:
            step: updates made before it (since the warm-up).
            steps: updates of the run (without the warm-up).

        Returns:
            as torch.optim.lr_scheduler's LinearLR, CosineAnnealingLR, ExponentialLR and StepLR have it after ``step`` steps.

        >>> [LRSchedule.parse(s).factor(5, 10) for s in ("linear:0.5", "cosine", "step:2:0.5")]
        [0.75, 0.5, 0.25]
        """
        share = min(step / max(steps, 1), 1.0)
        if self.kind == "linear":
            return 1 + (self.final - 1) * share
        if self.kind == "cosine":
            return self.final + (1 - self.final) * (1 + math.cos(math.pi * share)) / 2
        if self.kind == "exponential":
            return self.final**share
        return self.gamma ** (step // self.size) if self.kind == "step" else 1.0


def lr_factors(text: str, warmup: int, steps: int) -> Callable[[int], float]:
    """The factor on the learning rates of the update after ``step`` updates: a linear warm-up from 0, then a schedule.

    Args:
        text: as `LRSchedule.parse` takes it.
        warmup: updates of the warm-up; the schedule runs over the others.
        steps: updates of the run.

    Returns:
        a function of the step.

    >>> [lr_factors("linear", 2, 6)(step) for step in range(6)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]
    """
    schedule = LRSchedule.parse(text)

    def factor(step: int) -> float:
        return step / warmup if step < warmup else schedule.factor(step - warmup, steps - warmup)

    return factor
