"""Training: an ensemble of networks in one batched loop, into a run directory that survives."""

from interp.training.callbacks import lightning_callback, trainer_callback
from interp.training.launch import resume, train
from interp.training.loop import Progress, RunInterrupted
from interp.training.members import grid, seeds
from interp.training.plan import Plan
from interp.training.recorder import Recorder, record
from interp.training.refining import Round, refine
from interp.training.run import Run
from interp.training.schedule import Schedule, every, log_spaced
from interp.training.updates.optimizers import Optimizer

__all__ = [
    "Optimizer", "Plan", "Progress", "Recorder", "Round", "Run", "RunInterrupted", "Schedule", "every", "grid",
    "lightning_callback", "log_spaced", "record", "refine", "resume", "seeds", "train", "trainer_callback",
]  # fmt: skip
