"""The table of all timings, at the end of ``make bench``."""

from __future__ import annotations

import pytest

from tests.benchmarks.timing import ROWS, table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the rows that tests have added."""
    if ROWS:
        terminalreporter.section("milliseconds per network and step")
        for line in table(ROWS):
            terminalreporter.write_line(line)
