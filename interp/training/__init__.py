"""Training: an ensemble of networks in one batched loop, into a run directory that survives."""

from interp.training.launch import resume, train
from interp.training.loop import Progress, RunInterrupted
from interp.training.members import grid, seeds
from interp.training.optimizers import Optimizer
from interp.training.plan import Plan
from interp.training.run import Run
from interp.training.schedule import Schedule, every, log_spaced

__all__ = [
    "Optimizer", "Plan", "Progress", "Run", "RunInterrupted", "Schedule", "every", "grid", "log_spaced", "resume",
    "seeds", "train",
]  # fmt: skip
