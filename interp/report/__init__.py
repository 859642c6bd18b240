"""Reports: the outcomes of analyses as one offline HTML page, with the data beside it."""

from interp.report.folder import write, write_comparison
from interp.report.output import check_output, reserved

__all__ = ["check_output", "reserved", "write", "write_comparison"]
