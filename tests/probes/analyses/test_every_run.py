"""Every analysis on every kind of run: done, or skipped with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import interp
from interp import Subject


def quick(folder: Path, task: object, model: object, **settings: object) -> interp.Run:
    settings |= {"out": folder / "run", "device": "cpu"}
    return interp.train(task, model, steps=20, checkpoints="every:10", metrics="every:5", **settings)  # type: ignore


def image(folder: Path, **settings: object) -> interp.Run:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "target.png")
    task = f"image:target={folder / 'target.png'},size=8"
    return quick(folder, task, interp.CPPNConfig("2;gaussian:2,sin:1"), **settings)


def reviews(folder: Path) -> interp.Run:
    text = "\n".join(f"{('good film', 'bad plot')[i % 2]} number {'x' * (i % 5 + 1)},{1 - i % 2}" for i in range(40))
    (folder / "reviews.csv").write_text("review,label\n" + text)
    return quick(
        folder, f"reviews:path={folder / 'reviews.csv'},n=0,max_length=6", "lstm:d_embed=4,d_hidden=5,n_layers=1"
    )


RUNS: dict[str, Callable[[Path], interp.Run]] = {
    "parity": lambda out: quick(out, "parity:n=8,k=2,n_train=40,n_test=20", "mlp:hidden=12"),
    "S_3": lambda out: quick(out, "group:table=S_3,train_fraction=0.6", "mlp:hidden=12,d_embed=9,combine=product"),
    "reviews": reviews,
    "no hidden layer": lambda out: quick(out, "modular:p=7,train_fraction=0.5", "mlp:hidden=,d_embed=4"),
    "image": image,
    "images": lambda folder: image(folder, members=[{"seed": 0}, {"seed": 1}]),
    "everything trained on": lambda out: quick(out, "addition:p=4,train_fraction=1.0", None, members=interp.seeds(2)),
}  # fmt: skip


def assert_well(outcomes: interp.plugins.analysis.Outcomes) -> None:
    """Nothing failed, and what was skipped says why."""
    assert not {name: o.error for name, o in outcomes.items() if o.status == "failed"}
    assert all(len(o.reason.split()) > 3 for o in outcomes.values() if o.status == "skipped")


HISTORY = ("progress", "embeddings", "densities", "clouds", "theory", "phases")


QUICK = ("parity", "S_3", "no hidden layer")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RUNS])
def test_every_analysis_on_every_kind_of_run(name: str, tmp_path: Path) -> None:
    """Done, or skipped with a sentence; of images, the history alone."""
    assert_well(interp.analyze(RUNS[name](tmp_path).subject(), HISTORY if name.startswith("image") else None))


@pytest.mark.slow
def test_every_analysis_on_two_more(demo: Subject, toy: interp.Run) -> None:
    """A member of toy addition; the history of the shipped run."""
    assert_well(interp.analyze(toy.subject(1)))
    options = {
        "progress": {"every": 4, "measures": "mode_power"},
        "clouds": {"points": 40},
        "embeddings": {"frames": 2},
    }
    assert_well(interp.analyze(demo, HISTORY, options))
