"""The analysis ``components``: how many directions of its sites, and what rank of its weights, a network needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from circuits.compression.low_rank import Spectra, powers
from circuits.compression.projection import Held
from circuits.scores import Scores, derived, scores
from interp.errors import require_range
from interp.hooked.base import HookedModel
from interp.hooked.foreign.guest import Guest
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.sites import resolve_sites
from interp.subject import Subject

ERRORS = (0.6, 0.4, 0.3, 0.2, 0.1, 0.05)
CHECKPOINTS = 5  # of a series, at which the first site is held
DTYPES = {"float32": torch.float32, "float64": torch.float64}

Row = dict[str, Any]


@analysis(
    "components",
    needs=("activations",),
    summary="Accuracy against principal components of the main sites, and against the rank of the weights",
    order=62,
)
def components_analysis(
    subject: Subject,
    *,
    sites: str | None = None,
    keep: float = 0.99,
    checkpoints: int = CHECKPOINTS,
    dtype: Literal["float32", "float64"] = "float32",
) -> Result:
    """Sites held to their first principal components one at a time, and all weights at low rank; of a series, the start too.

    Args:
        sites: hook point, or glob; by default the embedding (or input), the neurons and the residual stream behind each block.
        keep: the share of the accuracy that counts as kept; of a regression, of the fall of the loss.
        checkpoints: of a series, at how many the first site is held; 0 leaves that out.
        dtype: in which the networks run; losses are taken in float64.
    """
    require_range("keep", keep, 0, 1)
    require_range("checkpoints", checkpoints, 0, 10_000)
    subject = subject.cast(DTYPES[dtype])
    names = main_sites(subject.model) if sites is None else [s.name for s in resolve_sites(subject.model, sites)]
    whole, result = scores(subject), Result()
    result.metrics = {"loss": whole.loss, "accuracy": whole.accuracy}
    found: list[str] = []
    if not isinstance(subject.model, Guest):
        found.append(_add_ranks(result, subject, whole, keep))
    else:
        result.notes.append("No weights of low rank: the module's code is not ours to build again.")
    numbers = {}
    held = {name: Held.of(subject, name) for name in names}
    curves = {name: _curve(one, whole, keep) for name, one in held.items()}
    if curves:
        numbers = _add_components(result, held, curves, whole, keep)
        found = [_kept_in_words(name, n, held[name], whole, keep) for name, n in numbers.items()] + found
    if checkpoints and names and subject.series is not None and len(subject.series) > 1:
        found += _add_start(result, subject, held, numbers, checkpoints)
    result.headline = (
        "; ".join(found) or "no site has features alone, so there is nothing to hold: name one with sites="
    )
    return result


def main_sites(model: HookedModel) -> list[str]:
    """The embedding, or the input where there is none; hidden units; the residual stream behind each block."""
    entry = "hook_embed" if "hook_embed" in model.hook_dict else "hook_input"
    ends = ("hook_post", "hook_resid_post", "hook_final")
    names = [name for name in model.hook_dict if name == entry or name.endswith(ends)]
    return [name for name in names if _plain(model.axes_of(name))]


def _plain(axes: tuple[str, ...]) -> bool:
    return axes[0] == "batch" and axes[-1] == "unit" and "head" not in axes


def _enough(found: Scores, whole: Scores, nothing: Scores, keep: float) -> bool:
    """Whether a share of the accuracy is left; where answers are not judged, of the way from ``nothing`` to ``whole``."""
    if found.accuracy is not None and whole.accuracy is not None:
        return found.accuracy >= keep * whole.accuracy
    return nothing.loss - found.loss >= keep * (nothing.loss - whole.loss)


def _fewest(score: Callable[[int], Scores], known: dict[int, Scores], enough: Callable[[Scores], bool]) -> int:
    """The smallest number that is enough, by bisection below the smallest of those known; adds what it runs to ``known``."""
    high = min(n for n in known if enough(known[n]))
    low = max((n for n in known if n < high), default=high - 1)
    while high - low > 1:
        middle = (low + high) // 2
        known[middle] = score(middle)
        low, high = (low, middle) if enough(known[middle]) else (middle, high)
    return high


def _curve(held: Held, whole: Scores, keep: float) -> dict[int, Scores]:
    """Scores by number of components: 0, powers of 2 up to one that loses nothing, all, and those that find the fewest."""
    full = len(held.basis)
    nothing = held.scores(0)
    known = {0: nothing, full: whole if full == held.basis.dim else held.scores(full)}
    for n in powers(full)[:-1]:
        known[n] = held.scores(n)
        if _nothing_lost(known[n], whole, nothing):
            break
    if _enough(known[full], whole, nothing, keep):
        _fewest(held.scores, known, lambda s: _enough(s, whole, nothing, keep))
    return dict(sorted(known.items()))


def _nothing_lost(found: Scores, whole: Scores, nothing: Scores) -> bool:
    """Whether more would not show in a curve."""
    right = found.accuracy is None or found.accuracy >= (whole.accuracy or 0.0)
    return right and found.loss - whole.loss <= 1e-3 * (nothing.loss - whole.loss)


def _add_components(
    result: Result, held: dict[str, Held], curves: dict[str, dict[int, Scores]], whole: Scores, keep: float
) -> dict[str, int | None]:
    """Tables and figures of the sites; returns how many components are enough, None where all are not."""
    rows: list[Row] = []
    numbers: dict[str, int | None] = {}
    for name, known in curves.items():
        share = held[name].explained().tolist()
        rows += [{"site": name, "components": n, "explained": share[n], **vars(s)} for n, s in known.items()]
        numbers[name] = next((n for n, s in known.items() if _enough(s, whole, known[0], keep)), None)
    table = pd.DataFrame(rows)
    result.tables["components"] = table
    for measure in _measured(whole):
        result.figures[f"{measure} by components"] = figures.lines(
            {name: (list(known)[1:], [getattr(s, measure) for s in list(known.values())[1:]]) for name, known in curves.items()},
            title=f"{measure.capitalize()} with one site held to its first principal components",
            x_title="principal components that are kept", y_title=f"{measure}, all examples", log_x=True,
            log_y=measure == "loss", markers=True,
        )  # fmt: skip
    result.lead = f"{_measured(whole)[0]} by components"
    result.metrics |= {f"components_of_{name}": n for name, n in numbers.items()}
    result.metrics |= {f"dimensions_of_{name}": held[name].basis.dim for name in numbers}
    result.notes.append(
        "A site held to n components: the rest of its activation becomes its mean over all inputs, at each position its own; one "
        "site at a time, the others as they come. Components are ordered by variance and not by use, so fewer directions may do. "
        "The fewest that keep enough are found by bisection between powers of 2, which supposes that accuracy rises with them."
    )
    return numbers


def _kept_in_words(name: str, n: int | None, held: Held, whole: Scores, keep: float) -> str:
    if n is None:
        return f"all {held.basis.dim} components of {name} keep less than {_what(whole, keep)}"
    return f"{n} of {held.basis.dim} components of {name} keep {_what(whole, keep)}"


def _what(whole: Scores, keep: float) -> str:
    return f"{keep:.4g} of the " + ("fall of the loss" if whole.accuracy is None else "accuracy")


def _measured(whole: Scores) -> list[str]:
    return ["loss"] if whole.accuracy is None else ["accuracy", "loss"]


def _add_ranks(result: Result, subject: Subject, whole: Scores, keep: float) -> str:
    """Table and figures of all weights at low rank; returns the finding."""
    spectra = Spectra.of(subject.model)
    full = spectra.full
    rows: dict[int, Row] = {full: {"same": "rank", **spectra.row(subject, spectra.same(full), whole)}}

    def score(rank: int) -> Scores:
        rows[rank] = {"same": "rank", **spectra.row(subject, spectra.same(rank))}
        return _scores(rows[rank])

    nothing = scores(derived(subject, spectra.truncated(subject.model, spectra.within(1.0)), "rank 0"))
    known = {full: whole}
    for r in powers(full)[:-1]:
        known[r] = score(r)
        if _nothing_lost(known[r], whole, nothing):
            break

    def enough(found: Scores) -> bool:
        return _enough(found, whole, nothing, keep)

    rank = _fewest(score, known, enough) if enough(known[full]) else None
    by_error: list[Row] = []
    for error in ERRORS:
        by_error.append({"same": "error", **spectra.row(subject, spectra.within(error))})
        if _nothing_lost(_scores(by_error[-1]), whole, nothing):
            break
    by_rank = [rows[r] for r in sorted(rows)]
    result.tables["ranks"] = pd.DataFrame([*by_rank, *by_error])
    whole_size = rows[full]["parameters"]
    shown = {"same rank": by_rank, "same error": by_error}
    for measure in _measured(whole):
        result.figures[f"{measure} by parameters"] = figures.lines(
            {name: ([row["parameters"] for row in own], [row[measure] for row in own]) for name, own in shown.items()},
            title=f"{measure.capitalize()} with all weight matrices at low rank",
            x_title="parameters of all matrices", y_title=f"{measure}, all examples", log_y=measure == "loss", markers=True,
        )  # fmt: skip
        parts = {"all examples": measure, "train": f"train_{measure}", "test": f"test_{measure}"}
        result.figures[f"{measure} by rank"] = figures.lines(
            {part: (sorted(rows), [row[name] for row in by_rank]) for part, name in parts.items()
             if by_rank[0][name] is not None},
            title=f"{measure.capitalize()} with all weight matrices at one rank",
            x_title="rank", y_title=measure, log_x=True, log_y=measure == "loss", markers=True,
        )  # fmt: skip
    fits = [row for row in by_error if enough(_scores(row))]
    cheapest = min(fits, key=lambda row: row["parameters"], default=None)
    result.lead = f"{_measured(whole)[0]} by parameters"
    result.metrics |= {
        "rank": rank, "full_rank": spectra.full, "parameters": whole_size,
        "parameters_at_rank": None if rank is None else rows[rank]["parameters"],
        "error": None if cheapest is None else cheapest["error"],
        "parameters_at_error": None if cheapest is None else cheapest["parameters"],
    }  # fmt: skip
    result.notes.append(
        "Same rank: every matrix at its best approximation of that rank. Same error: every matrix at the smallest rank whose "
        "relative error in Frobenius norm is within one bound. A matrix of rank r takes r (in + out) parameters where that is "
        "fewer than it has; biases are not counted."
    )
    words = [] if rank is None else [f"rank {rank} of {spectra.full} of all matrices"]
    if cheapest is not None:
        words.append(
            f"an error of {cheapest['error']:.2g} of each ({cheapest['parameters']:,} of {whole_size:,} parameters)"
        )
    return f"{' or '.join(words) or 'no rank of all matrices'} keeps {_what(whole, keep)}"


def _scores(row: Row) -> Scores:
    return Scores(**{name: row[name] for name in Scores.__dataclass_fields__})


def _add_start(
    result: Result, subject: Subject, held: dict[str, Held], numbers: dict[str, int | None], checkpoints: int
) -> list[str]:
    """The lottery-ticket view: what this checkpoint uses, looked for in the first one and in those between."""
    assert subject.series is not None
    found, rows = [], []
    first = _at(subject, 0)
    for name, end in held.items():
        shares = {"its own": Held.of(first, name), "those of the end": Held.of(first, name, basis_from=subject)}
        curves = {f"first checkpoint, {of} components": one.explained() for of, one in shares.items()}
        curves["last checkpoint, its own components"] = end.explained()
        curves["random directions"] = torch.arange(len(end.basis) + 1) / end.basis.dim
        result.figures[f"start at {name}"] = figures.lines(
            {label: (np.arange(len(share)), share.cpu().numpy()) for label, share in curves.items()},
            title=f"{name}: variance of the first checkpoint along components of the last",
            x_title="components", y_title="share of the variance in the first n",
        )  # fmt: skip
        n = numbers[name]
        if n is not None:
            share = float(shares["those of the end"].explained()[n])
            result.metrics[f"start_variance_in_{name}"] = share
            found.append(
                f"at step {first.step:,} the {n} components of {name} hold {share:.1%} of its variance "
                f"(random ones: {n / end.basis.dim:.1%})"
            )
    name = next(iter(held))
    n = numbers[name] if numbers[name] is not None else len(held[name].basis)
    assert n is not None
    for one in _spread(subject, checkpoints):
        own, end = Held.of(one, name), Held.of(one, name, basis_from=subject)
        rows.append(
            {"step": one.step, "site": name, "components": n, "own_explained": float(own.explained()[min(n, len(own.basis))]),
             "end_explained": float(end.explained()[n])}
            | {f"{of}_{measure}": getattr(s, measure) for measure in _measured(scores(one))
               for of, s in (("whole", scores(one)), ("own", own.scores(min(n, len(own.basis)))), ("end", end.scores(n)))}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    result.tables["over the run"] = table
    measure = "accuracy" if "whole_accuracy" in table else "loss"
    labels = {"whole": "network", "own": f"its own first {n}", "end": f"the first {n} of the end"}
    result.figures["held over the run"] = figures.lines(
        {label: (table["step"], table[f"{of}_{measure}"]) for of, label in labels.items()},
        title=f"{name} held to {n} components at each checkpoint: {measure}",
        x_title="step", y_title=f"{measure}, all examples", log_y=measure == "loss", markers=True,
    )  # fmt: skip
    result.notes.append(
        "Lottery-ticket view (Liu et al. 2022, appendix K): those of the end are components of the checkpoint that was loaded, "
        "by default the last; an earlier activation keeps its own mean. Random directions hold n of D of the variance on average."
    )
    return found


def _at(subject: Subject, index: int) -> Subject:
    assert subject.series is not None
    model = subject.series[index].cast(subject.model.dtype, subject.model.device)
    return replace(subject, model=model, step=subject.series.steps[index], curves={})


def _spread(subject: Subject, checkpoints: int) -> Iterator[Subject]:
    """Checkpoints at even distances in the series, the first and the last among them."""
    assert subject.series is not None
    for i in sorted({round(i) for i in np.linspace(0, len(subject.series) - 1, checkpoints).tolist()}):
        yield _at(subject, i)
