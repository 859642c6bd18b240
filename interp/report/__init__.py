"""Reports: the outcomes of analyses as one offline HTML page, with the data beside it."""

from interp.report.folder import write, write_comparison
from interp.report.loggers import log_to_mlflow, log_to_wandb
from interp.report.output import check_output, reserved

__all__ = ["check_output", "log_to_mlflow", "log_to_wandb", "reserved", "write", "write_comparison"]
