"""Which measures change before test accuracy does, over several networks: the rule, each network's changes, and their counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.errors import InterpError, require_range
from interp.phase_diagrams.confidence import share_interval
from interp.scores import LEARNT
from probes.change_points import Change, change_point, first_step_above

LEADS, UNDECIDED, FOLLOWS, GRADUAL = "leads", "undecided", "follows", "gradual"
SHARP = 0.8  # share of its variance that a step must explain: a straight slope reaches 0.75, whatever it has to do with anything
CONTROL = "control"  # rows that show what the method says where the answer is known
WINDOWS = ("after memorisation", "whole run")
DRAWS = 10_000
CHANGES = (
    "member", "measure", "where", "changes_at", "low", "high", "before", "after", "explained", "memorised_at",
    "generalised_at", "test_at", "test_low", "test_high", "order",
)  # fmt: skip


def order(change: Change, reference: Change) -> str:
    """Whether a curve changes before another: by the intervals of their change points.

    Args:
        change: of the curve (`probes.change_points.change_point`).
        reference: of the other.

    Returns:
        ``leads`` where the whole interval lies before the other's, ``follows`` where it lies after, ``undecided`` where they
        overlap.
    """
    return order_of_intervals((change.low, change.high), (reference.low, reference.high))


def order_of_intervals(own: tuple[float, float], other: tuple[float, float]) -> str:
    """`order`, by the intervals alone.

    Args:
        own: lower and upper end, in steps.
        other: of the reference, likewise. An end that both share counts as apart, since a change lies between the two
            checkpoints, not at them.

    Returns:
        as `order`.
    """
    (low, high), (other_low, other_high) = own, other
    return LEADS if high <= other_low else FOLLOWS if low >= other_high else UNDECIDED


def change_of(measure: str, steps: Sequence[int], values: Sequence[float]) -> Change | None:
    """The change point of a measure's curve: of an accuracy as it is, of others by decades where they span two.

    Args:
        measure: its name.
        steps: training steps, ascending.
        values: the curve, one value per step.

    Returns:
        The change, or None (`probes.change_points.change_point`).
    """
    return change_point(steps, values, log=False if measure in ("accuracy", CONTROL) else None)


def changes_by_network(
    frame: pd.DataFrame, *, window: str = "after memorisation", threshold: float = LEARNT
) -> pd.DataFrame:
    """The change of every curve of every network beside that of its test accuracy.

    Networks that never generalise, or whose test accuracy does not change in the window, have no rows. Two controls stand
    beside the measures: ``clock`` is the step itself, which knows nothing of the network and changes in the middle of the
    window; ``trailing accuracy``, the mean of the test accuracy over the last tenth of the window, follows by construction.

    Args:
        frame: of `probes.progress` over one or several networks: ``step, member, measure, where, value``.
        window: ``after memorisation``, from the step on from which the train accuracy stays above the threshold, or
            ``whole run``.
        threshold: train accuracy that counts as memorised, test accuracy that counts as generalised.

    Returns:
        A row per network and curve: ``changes_at`` with its interval ``low`` to ``high``, levels ``before`` and ``after``, the
        share of variance ``explained``; the steps ``memorised_at`` and ``generalised_at``; the same change of the test
        accuracy, ``test_at``, ``test_low``, ``test_high``; and the ``order`` of the two.

    Raises:
        InterpError: another window, a threshold that is not a share, or a table without test accuracy.
    """
    require_range("threshold", threshold, 0, 1)
    if window not in WINDOWS:
        raise InterpError(f"window is {' or '.join(WINDOWS)}, got {window!r}")
    _check(frame, ("step", "member", "measure", "where", "value"), "probes.progress")
    if frame.query("measure == 'accuracy' and where == 'test'").empty:
        raise InterpError("no test accuracy in the table: measure accuracy too, probes.progress(run, 'accuracy,...')")
    rows = [
        row for member, own in frame.groupby("member") for row in _of_network(member, own, window, threshold)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=pd.Index(CHANGES))


def _check(table: pd.DataFrame, columns: Sequence[str], made_by: str) -> None:
    if not isinstance(table, pd.DataFrame) or not set(columns) <= set(table.columns):
        raise InterpError(f"a table with the columns {', '.join(columns)} is needed, as {made_by} makes it")


def _groups(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of each measure and where."""
    for (measure, where), rows in table.groupby(["measure", "where"], sort=False):  # pyright: ignore[reportGeneralTypeIssues]
        yield (str(measure), str(where)), rows


def _of_network(member: object, frame: pd.DataFrame, window: str, threshold: float) -> list[tuple[object, ...]]:
    curves = {key: rows.sort_values("step") for key, rows in _groups(frame)}
    test, train = curves.get(("accuracy", "test")), curves.get(("accuracy", "train"))
    if test is None:
        return []
    generalised, memorised = _reached(test, threshold), None if train is None else _reached(train, threshold)
    begin = memorised if window == "after memorisation" else 0
    if generalised is None or begin is None:
        return []
    inside = {key: rows[rows["step"] >= begin] for key, rows in curves.items()}
    steps, accuracy = inside["accuracy", "test"]["step"].tolist(), inside["accuracy", "test"]["value"].tolist()
    reference = change_of("accuracy", steps, accuracy)
    if reference is None:
        return []
    pairs = {key: (rows["step"].tolist(), rows["value"].tolist()) for key, rows in inside.items()}
    pairs[CONTROL, "clock"] = steps, [float(step) for step in steps]
    pairs[CONTROL, "trailing accuracy"] = steps, trailing(accuracy, max(2, len(steps) // 10))
    found = {key: change_of(key[0], *curve) for key, curve in pairs.items() if key != ("accuracy", "test")}
    return [
        (member, *key, c.step, c.low, c.high, c.before, c.after, c.explained, memorised, generalised, reference.step,
         reference.low, reference.high, order(c, reference))
        for key, c in found.items() if c is not None
    ]  # fmt: skip


def _reached(curve: pd.DataFrame, threshold: float) -> int | None:
    return first_step_above(list(zip(curve["step"].tolist(), curve["value"].tolist(), strict=True)), threshold)


def trailing(values: Sequence[float], length: int) -> list[float]:
    """Mean of each value and those before it, up to ``length`` of them.

    Args:
        values: a curve.
        length: how many values a mean is of, at most.

    Returns:
        as many means.

    >>> trailing([0.0, 0.0, 1.0, 1.0], 2)
    [0.0, 0.0, 0.5, 1.0]
    """
    return pd.Series(values, dtype=float).rolling(length, min_periods=1).mean().tolist()


def lead_over_seeds(changes: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Which measures change before test accuracy over several networks, how early, and whether the two are tied.

    A measure **leads** where the share of networks in which it does has a 95% interval (Jeffreys') above one half, follows
    likewise, and is undecided otherwise: of fewer than four networks nothing is said. It is **gradual** where in half of the
    networks the best step explains less than 0.8 of the curve's variance: such a curve has no moment of change, and its
    change point is about the middle of the window, as that of the clock. Where all curves change at the same step (sigmoids
    of five widths, 40 checkpoints, independent or correlated noise), a measure is found to lead in 3% to 18% of the networks,
    and by the verdict over ten networks in none of 240; a lead of four checkpoints is found in 49 of 60
    (``tests/probes/test_leads.py``).

    It misleads because everything in a network moves with the clock. To lead is neither to cause nor to predict: a measure
    that changes at a fixed step leads in all networks that generalise later. ``shuffled`` and ``tied`` show that: the share
    of leads when the measure of one network is set beside the accuracy of another, and the rank correlation over networks of
    the two steps. A measure that leads as often when shuffled, and is not tied, tells the time. A smooth curve's change point
    also depends on its shape: of two curves with one cause the one that saturates earlier leads.

    Args:
        changes: of `changes_by_network`.
        seed: of the bootstrap and the permutations.

    Returns:
        A row per curve, sorted by the median lead: ``seeds``, the counts ``leads``, ``undecided``, ``follows``; the ``share``
        that leads with ``share_low`` and ``share_high``; the median ``lead`` in steps (of test accuracy minus of the measure)
        with a 95% interval ``lead_low``, ``lead_high`` (bootstrap over networks, percentiles; too narrow for fewer than about
        six); the same in units of each network's delay from memorising to generalising, ``delays``, ``delays_low``,
        ``delays_high``, of the networks that memorise first; the median share of variance ``explained``; ``shuffled``;
        ``tied`` and ``tied_p`` (one-sided permutation test; NaN for fewer than four); the ``verdict``.

    Raises:
        InterpError: no rows.
    """
    _check(changes, CHANGES, "probes.changes_by_network")
    if changes.empty:
        raise InterpError("no network generalised in the window, so there is nothing to lead")
    rng = np.random.default_rng(seed)
    rows = [_over_seeds(*key, own, rng) for key, own in _groups(changes)]
    return pd.DataFrame(rows).sort_values("lead", ascending=False, ignore_index=True)


def _over_seeds(measure: str, where: str, own: pd.DataFrame, rng: np.random.Generator) -> dict[str, object]:
    n, explained = len(own), float(np.median(own["explained"].to_numpy(float)))
    number = {name: int((own["order"] == name).to_numpy().sum()) for name in (LEADS, UNDECIDED, FOLLOWS)}
    share_low, share_high = share_interval(number[LEADS], n)
    lead = (own["test_at"] - own["changes_at"]).to_numpy(float)
    delay = (own["generalised_at"] - own["memorised_at"]).to_numpy(float)
    delays = lead[delay > 0] / delay[delay > 0]
    tied, tied_p = _tied(own["changes_at"].to_numpy(float), own["test_at"].to_numpy(float), rng)
    return {
        "measure": measure, "where": where, "seeds": n, **number,
        "share": number[LEADS] / n, "share_low": share_low, "share_high": share_high,
        **_median("lead", lead, rng), **_median("delays", delays, rng), "explained": explained,
        "shuffled": _shuffled(own), "tied": tied, "tied_p": tied_p,
        "verdict": _verdict(number, n, explained),
    }  # fmt: skip


def _verdict(number: dict[str, int], n: int, explained: float) -> str:
    if explained < SHARP:
        return GRADUAL
    return next((name for name in (LEADS, FOLLOWS) if share_interval(number[name], n)[0] > 0.5), UNDECIDED)


def _median(name: str, values: Float[np.ndarray, " n"], rng: np.random.Generator) -> dict[str, float]:
    if not len(values):
        return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
    draws = np.median(values[rng.integers(len(values), size=(DRAWS, len(values)))], axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {name: float(np.median(values)), f"{name}_low": float(low), f"{name}_high": float(high)}


def _shuffled(own: pd.DataFrame) -> float:
    """Share of leads over all pairs of one network's measure and another's test accuracy."""
    high, test_low = own["high"].to_numpy(), own["test_low"].to_numpy()
    before = high[:, None] <= test_low
    return float(before[~np.eye(len(own), dtype=bool)].mean()) if len(own) > 1 else np.nan


def _tied(
    one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"], rng: np.random.Generator
) -> tuple[float, float]:
    """Rank correlation, and the share of permutations in which it is at least as large."""
    if len(one) < 4 or len(np.unique(one)) == 1 or len(np.unique(other)) == 1:
        return np.nan, np.nan
    a, b = (pd.Series(v).rank().to_numpy() - (len(v) + 1) / 2 for v in (one, other))
    found, scale = float(a @ b), float(np.sqrt((a @ a) * (b @ b)))
    shuffled = rng.permuted(np.tile(a, (DRAWS, 1)), axis=1) @ b
    return found / scale, float((1 + (shuffled >= found - 1e-9).sum()) / (1 + DRAWS))
