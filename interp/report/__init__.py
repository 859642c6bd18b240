"""Reports: the outcomes of analyses as one offline HTML page, with the data beside it."""

from interp.report.folder import check_output, write, write_comparison

__all__ = ["check_output", "write", "write_comparison"]
