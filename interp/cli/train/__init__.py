"""``interp train``: one command per task, whose options are the task's fields and the settings of a run."""

from interp.cli.train.group import app

__all__ = ["app"]
