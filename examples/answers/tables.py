"""Where the tables of the long runs lie, and what counts in them."""

from pathlib import Path

MEASURED = Path(__file__).parents[1] / "measured"
DRAWN = 0.01  # MSE from which a twin has not learned to draw its picture
