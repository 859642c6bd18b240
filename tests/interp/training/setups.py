"""Tiny runs of every model with everything that changes a gradient: what is killed and resumed in the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import interp
from interp.hooked.cppn.config import CPPNConfig

MODULAR = "modular:p=7,train_fraction=0.6"
CHANGES: dict[str, dict[str, Any]] = {
    "plain": {}, "normalised": {"normalise": True}, "clipped": {"clip_norm": 0.05}, "dropout": {}, "l1": {"l1": 1e-3},
    "norm_penalty": {"norm_penalty": 1e-4}, "batches": {"batch_size": 8, "optimizer": "sgd", "momentum": 0.9, "lr": 0.05},
}  # fmt: skip
MODELS: dict[str, Any] = {
    "mlp": "mlp:d_embed=6,hidden=10",
    "transformer": "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=12",
    "lstm": "lstm:d_embed=6,d_hidden=5,n_layers=1",
    "cppn": CPPNConfig("2;cache:2,gaussian:2,sin:2"),
}
# a CPPN has no dropout
NAMES = [f"{m} {c}" for m in MODELS for c in CHANGES if (m, c) != ("cppn", "dropout")]


def settings(name: str, folder: Path) -> dict[str, Any]:
    """The arguments of `interp.train` for one of `NAMES`; the data of its task are written into a folder."""
    model, change = name.split()
    task, config = MODULAR, MODELS[model]
    if model == "lstm":
        task = f"reviews:path={_reviews(folder / 'reviews.csv')},n=0,max_length=6"
        config += ",dropout=0.0"
    if model == "cppn":
        task = f"image:target={_picture(folder / 'picture.png')},size=6"
    if change == "dropout":
        config = config.replace(",dropout=0.0", "") + ",dropout=0.2"
    common = {"steps": 24, "metrics": "every:1", "checkpoints": "every:8", "device": "cpu", "members": interp.seeds(2)}
    return {"task": task, "model": config, "optimizer": "adam", **common, **CHANGES[change]}


def _reviews(path: Path) -> Path:
    if not path.exists():
        draw = np.random.default_rng(0)
        words = np.array(["good", "bad", "film", "plot", "slow", "fine", "dull", "odd"])
        path.write_text("text,label\n" + "".join(f"{' '.join(draw.choice(words, 5))},{i % 2}\n" for i in range(24)))
    return path


def _picture(path: Path) -> Path:
    if not path.exists():
        shade = (np.add.outer(np.arange(6), np.arange(6)) * 20).astype(np.uint8)
        Image.fromarray(np.stack([shade, shade.T // 2, 255 - shade], -1)).save(path)
    return path


def everything(run: Path) -> dict[str, bytes]:
    """The bytes of all files of a run, its state too."""
    return {str(f.relative_to(run)): f.read_bytes() for f in sorted(run.rglob("*")) if f.is_file() and f.name != "lock"}
