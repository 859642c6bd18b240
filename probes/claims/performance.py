"""Claims on what a network does: that it does its task, and that it does so on examples that it was not trained on."""

from __future__ import annotations

import math
from dataclasses import replace

from interp.plugins.claim import Claim, graded
from interp.plugins.result import format_metric, format_share
from interp.scores import LEARNT, Part, Scores
from interp.tasks import Task
from probes.wilson_interval import wilson

SOLVED = 0.99
EXPLAINED, EXPLAINED_IN_PART = 0.95, 0.1
UNSOLVED = "the network answers no better than the commonest answer"
ERRORS = 3  # standard errors above the commonest answer, from which a network counts as better


def performance_claims(task: Task, found: Scores, constant: Scores) -> list[Claim]:
    """That the network does its task, and that it generalises.

    Args:
        task: what it was trained on.
        found: its scores.
        constant: those of the commonest answer, or of the mean target (`interp.scores.of_constant`).

    Returns:
        one or two claims.
    """
    if found.correct is None:
        return _of_regression(task, found, constant)
    claims = [
        Claim(
            f"It {task.purpose}",
            graded((found.accuracy or 0) >= SOLVED, better(found.all, constant.all)),
            "Right answers over all examples",
            _of(found.all, task),
            f"supported from {SOLVED:.0%} of the answers right; in part from {ERRORS} standard errors above the commonest answer",
            f"{constant.correct:,} by the commonest answer",
        )
    ]
    if found.test.total and found.train.total:
        claims.append(
            Claim(
                "It generalises to examples that it was not trained on",
                graded((found.test.accuracy or 0) >= LEARNT, better(found.test, constant.test)),
                "Right answers over the test examples",
                _of(found.test, task),
                f"supported from {LEARNT:.0%} of the test examples right; in part from {ERRORS} standard errors above the "
                "commonest answer",
                f"train {format_share(found.train.accuracy)}, the commonest answer {format_share(constant.test.accuracy)}",
            )
        )
    return claims


def better(part: Part, constant: Part) -> bool:
    """Whether more answers are right than by the commonest answer, by three standard errors of its share."""
    if part.correct is None or constant.accuracy is None or not part.total:
        return False
    share = constant.accuracy
    error = math.sqrt(max(share * (1 - share), 1 / part.total) / part.total)
    return part.correct / part.total > share + ERRORS * error


def if_solved(claims: list[Claim], solved: bool) -> list[Claim]:
    """Claims on what a network needs for its answers; of one that does not do its task, that they could not be tested.

    Args:
        claims: on its answers.
        solved: whether it answers better than the commonest answer, see `better`.

    Returns:
        the claims, with their verdicts.
    """
    if solved:
        return claims
    return [replace(one, verdict="not tested", value=UNSOLVED, against="", figure=None, answer="") for one in claims]


def _of(part: Part, task: Task) -> str:
    """How many are right; with the interval of their share, where the examples are a sample of all."""
    counted = f"{part.correct:,} of {part.total:,}"
    if task.complete or not part.total:
        return counted
    low, high = wilson(part.correct or 0, part.total)
    return f"{counted}, {format_share(part.accuracy)} [{low:.1%}, {high:.1%}]"


def _of_regression(task: Task, found: Scores, constant: Scores) -> list[Claim]:
    claims = [_explained(f"It {task.purpose}", "all examples", found.all, constant.all)]
    if found.test.total and found.train.total:
        text = "It generalises to examples that it was not trained on"
        claims.append(_explained(text, "the test examples", found.test, constant.test))
    return claims


def _explained(text: str, over: str, part: Part, constant: Part) -> Claim:
    loss, worst, share = part.loss, constant.loss, None
    if loss is not None and worst is not None and math.isfinite(loss) and worst > 0:
        share = 1 - loss / worst
    return Claim(
        text,
        "not tested" if share is None else graded(share >= EXPLAINED, share >= EXPLAINED_IN_PART),
        f"Share of the loss of the mean target that is gone, over {over}",
        f"{'n/a' if share is None else format_share(share)} (loss {format_metric(loss)})",
        f"supported from {EXPLAINED:.0%}; in part from {EXPLAINED_IN_PART:.0%}",
        f"loss {format_metric(worst)} of the mean target",
    )
