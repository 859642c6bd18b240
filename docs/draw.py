"""Draw the pictures of docs/training.md from the run directories that its commands write.

python docs/draw.py runs/mlp runs/parity ...        (needs matplotlib)
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

import interp

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {"train": "#3b6fb6", "test": "#c8553d"}


def draw(folder: Path, target: Path) -> None:
    """Train and test accuracy of every member over the steps."""
    run = interp.Run(folder)
    figure, axes = plt.subplots(figsize=(4.4, 2.4), layout="constrained")
    for part, colour in COLOURS.items():
        for number, (_, rows) in enumerate(run.metrics.groupby("member")):
            rows = rows[rows["step"] > 0]
            label = part if number == 0 else None
            axes.plot(rows["step"], rows[f"{part}_accuracy"], color=colour, lw=0.9, alpha=0.8, label=label)
    axes.set(xscale="log", ylim=(-0.02, 1.02), xlabel="step", ylabel="accuracy", title=folder.name)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    plt.rcParams.update(
        {"svg.hashsalt": "interp", "svg.fonttype": "none", "font.size": 8, "path.simplify_threshold": 1.0}
    )
    for name in map(Path, sys.argv[1:]):
        draw(name, Path(__file__).parent / "images" / f"{name.name}.svg")
