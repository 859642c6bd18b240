"""Phases of learning: comprehension, grokking, memorization, confusion.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning, table 1,
https://arxiv.org/abs/2205.10343
"""

from __future__ import annotations

import pandas as pd

PHASES = ("comprehension", "grokking", "memorization", "confusion")


def phase(train_at: float | None, test_at: float | None, *, limit: int = 100_000, gap: int = 1_000) -> str:
    """The phase of learning of one network.

    Comprehension: train and test accuracy reach the threshold within ``limit`` steps, less than ``gap`` steps apart.
    Grokking: both, further apart. Memorization: only train accuracy does. Confusion: neither does.

    Args:
        train_at: step at which train accuracy reached the threshold; None or NaN: never.
        test_at: the same for test accuracy.
        limit: steps within which it counts.
        gap: steps between the two from which on it is grokking.

    Returns:
        one of `PHASES`.

    >>> phase(100, 900), phase(100, 5000), phase(100, None), phase(None, None)
    ('comprehension', 'grokking', 'memorization', 'confusion')
    """
    reached = [at is not None and at == at and at <= limit for at in (train_at, test_at)]  # NaN is not itself
    if not reached[0]:
        return "confusion"
    if not reached[1]:
        return "memorization"
    assert train_at is not None
    assert test_at is not None
    return "comprehension" if test_at - train_at < gap else "grokking"


def first_steps(metrics: pd.DataFrame, column: str, threshold: float) -> pd.Series:
    """The first measured step at which each member's ``column`` reached the threshold; NaN: never."""
    members = pd.Index(sorted(metrics["member"].unique()), name="member")
    if column not in metrics:
        return pd.Series(float("nan"), members)
    reached = metrics.loc[metrics[column] >= threshold]
    return pd.Series(reached.groupby("member")["step"].min(), members, dtype=float)


def phases(metrics: pd.DataFrame, threshold: float = 0.9, *, limit: int = 100_000, gap: int = 1_000) -> pd.DataFrame:
    """The phase of learning of every member.

    The steps are those of the measurements: a coarse schedule finds them late. A member that was retired has reached both.

    Args:
        metrics: columns ``step``, ``member``, ``train_accuracy``, ``test_accuracy``.
        threshold: accuracy that counts as reached; Liu et al. take 0.9, and 0.6 for the validation of MNIST.
        limit: steps within which it must be reached.
        gap: steps from memorising to generalising from which on it is grokking.

    Returns:
        a row per member: ``train_at``, ``test_at`` (steps; NaN: never) and ``phase``.
    """
    table = pd.DataFrame(
        {"train_at": first_steps(metrics, "train_accuracy", threshold),
         "test_at": first_steps(metrics, "test_accuracy", threshold)}
    )  # fmt: skip
    table["phase"] = [
        phase(a, b, limit=limit, gap=gap) for a, b in zip(table["train_at"], table["test_at"], strict=True)
    ]
    return table
