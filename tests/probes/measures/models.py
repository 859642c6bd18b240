"""Small networks on parity and on reviews, for tests of measures."""

from __future__ import annotations

from pathlib import Path

from interp import HookedMLP, LSTMConfig, MLPConfig, Subject
from interp.hooked import build
from interp.tasks import Reviews, SparseParity


def parity(loss: str, seed: int = 1) -> Subject:
    task = SparseParity(n=6, k=2, n_train=20, n_test=10, loss=loss)
    return Subject(loss, HookedMLP(MLPConfig((5, 4), 1, d_in=6)).double().init_weights(seed, 2.0), task)


def lstm(folder: Path) -> Subject:
    rows = [f"{w} film good {'bad ' * (i % 3)}{w},{i % 2}" for i, w in enumerate("abcdefgh")]
    (folder / "r.csv").write_text("review,sentiment\n" + "\n".join(rows))
    task = Reviews(str(folder / "r.csv"), n=0, vocabulary=5, train_fraction=0.75)
    model = build(LSTMConfig(7, 5, 6, 2, 1, n_ctx=task.inputs.shape[1])).double().init_weights(0, 3.0)
    return Subject("lstm", model, task.fit(model))
