"""Where the tables of the long runs lie."""

from pathlib import Path

MEASURED = Path(__file__).parents[1] / "measured"
