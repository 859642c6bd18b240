"""Names of losses and accuracies as people log them, and which is which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from interp.checkpoints.logged.log import Points, in_order

PARTS = {
    "train": {"train", "training", "tr", "fit"},
    "test": {"test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev", "heldout", "holdout"},
}
MEASURES = {
    "loss": {"loss", "losses", "nll", "xent", "ce", "mse", "objective", "criterion"},
    "accuracy": {"acc", "accuracy", "accuracies", "accs", "acc1", "top1"},
}
# words beside them that change nothing
FILLERS = {
    "step", "epoch", "batch", "iter", "iteration", "avg", "average", "mean", "total", "running", "overall", "metric", "metrics",
    "set", "data", "cross", "entropy", "categorical", "sparse", "binary", "multiclass", "at", "1",
    "scalar", "scalars", "smoothed",
}  # fmt: skip
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*|\d+")


class Said(NamedTuple):
    """What a name says.

    Attributes:
        measure: ``loss`` or ``accuracy``.
        part: ``train`` or ``test``; None where the name has no word for it.
    """

    measure: str
    part: str | None


def reading(name: str) -> Said | None:
    """What a name says of a curve.

    Args:
        name: as it was logged.

    Returns:
        Its measure and part; None for everything that is not plainly a loss or an accuracy.

    >>> reading("Loss/train"), reading("val_acc"), reading("train_loss_epoch"), reading("loss")
    (Said(measure='loss', part='train'), Said(measure='accuracy', part='test'), Said(measure='loss', part='train'), \
Said(measure='loss', part=None))
    >>> reading("lr"), reading("val/loss/auxiliary"), reading("evalAccuracy")
    (None, None, Said(measure='accuracy', part='test'))
    """
    words = {w.lower() for w in WORDS.findall(name[:200])}
    part = [p for p, known in PARTS.items() if words & known]
    measure = [m for m, known in MEASURES.items() if words & known]
    rest = words - FILLERS - set().union(*PARTS.values(), *MEASURES.values())
    if rest or len(measure) != 1 or len(part) > 1:
        return None
    return Said(measure[0], part[0] if part else None)


def named(points: Mapping[str, list[tuple[int, float]]]) -> tuple[Points, list[str]]:
    """Give the four curves that analyses know their names; all others keep theirs.

    Of several that say the same the one with more points is taken: ``val_loss`` at every epoch, not a single ``test_loss``. A
    name without a part (``loss``) is the training's, of an accuracy only where another is the test's.

    Args:
        points: by the names that were logged.

    Returns:
        Points by name, in the order of their steps; and notes on what was read as what.
    """
    curves = {name: in_order(found) for name, found in points.items() if found}
    said = {name: found for name in curves if (found := reading(name)) is not None}
    tested = {found.measure for found in said.values() if found.part == "test"}
    groups: dict[str, list[str]] = {}
    for name, (measure, part) in said.items():
        if part is not None or measure == "loss" or measure in tested:
            groups.setdefault(f"{part or 'train'}_{measure}", []).append(name)
    chosen = {target: max(names, key=lambda n: _rank(n, said[n], curves[n])) for target, names in groups.items()}
    taken = {source: target for target, source in chosen.items()}
    renamed = {
        taken.get(name, f"{name} (as logged)" if name in chosen else name): found for name, found in curves.items()
    }
    notes = [f"{target} is the logged {source!r}" for source, target in taken.items() if source != target]
    notes += _fractions(renamed)
    return renamed, ["; ".join(notes)] if notes else []


def _rank(name: str, said: Said, points: list[tuple[int, float]]) -> tuple[bool, int, bool, str]:
    """Which of several curves of one kind stands for it: whole curves, then more points, then the plainer word."""
    return said.part is not None and len(points) > 1, len(points), "test" in name.lower(), name


def _fractions(curves: Points) -> list[str]:
    """Turn accuracies in percent into fractions; all of a run or none, since those of one run have one unit."""
    names = [n for n in ("train_accuracy", "test_accuracy") if n in curves]
    highest = max((v for n in names for _, v in curves[n] if v == v), default=0.0)
    if not 1.01 < highest <= 100.01:
        return []
    for name in names:
        curves[name] = [(step, value / 100) for step, value in curves[name]]
    return [f"{' and '.join(names)} were logged in percent and are read as fractions"]
