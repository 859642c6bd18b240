"""``interp train`` and ``interp refine``: one command per task, whose options are the task's fields and the settings of a run."""

from interp.cli.train.group import app, refine

__all__ = ["app", "refine"]
