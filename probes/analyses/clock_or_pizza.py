"""The analysis `clock_or_pizza`: which of two algorithms a network adds with."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from interp.errors import require_range
from interp.hooked import HookedMLP
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes import clock_pizza
from probes import cyclic_tables as tables
from probes.claims.modes import clock_claims

PIZZA = 0.4  # Zhong et al. 2023: pizzas have a distance irrelevance from 0 to 0.4, clocks from 0.4 to 1


@analysis(
    "clock_or_pizza",
    needs=("gradients", "cyclic"),
    summary="Clock or pizza: which algorithm adds on the circles",
    order=45,
    question="represents",
)
def clock_or_pizza(subject: Subject, *, n_triples: int = clock_pizza.N_TRIPLES, seed: int = clock_pizza.SEED) -> Result:
    """Gradient symmetricity, distance irrelevance and circularity (Zhong et al. 2023).

    https://arxiv.org/abs/2306.17844

    Args:
        subject: a transformer or an MLP with token embeddings, on a task that is addition modulo n.
        n_triples: triples (a, b, c) whose gradients are compared; the authors draw 100.
        seed: of their draw.

    Returns:
        The three measures, the circles of the embeddings, and the right answer's logit over distance and sum.
    """
    require_range("n_triples", n_triples, 1)
    symmetricity = clock_pizza.gradient_symmetricity(subject, n_triples, seed)
    logits = tables.logit_table(subject.cast())
    irrelevance = clock_pizza.distance_irrelevance(logits)
    embeddings = {k: v for k, v in tables.embedding_tables(subject).items() if k.startswith("W_E")}
    circles = {name: clock_pizza.circles(table) for name, table in embeddings.items()}
    circularity = float(np.mean([found.circularity for found in circles.values()]))
    kind = "pizza" if irrelevance < PIZZA else "clock"
    metrics = {
        "distance_irrelevance": irrelevance, "gradient_symmetricity": symmetricity.mean,
        "gradient_symmetricity_interval": list(symmetricity.interval), "circularity": circularity,
        "triples": symmetricity.triples, "algorithm": kind,
    }  # fmt: skip
    result = Result(metrics, {"circles": _table(circles)})
    low, high = symmetricity.interval
    result.headline = (
        f"{kind} by its distance irrelevance of {irrelevance:.2f}; gradient symmetricity {symmetricity.mean:.2f} "
        f"[{low:.2f}, {high:.2f}], circularity {circularity:.3f}"
    )
    result.verdict = [("clock or pizza", kind)]
    right = tables.answered(logits)
    result.notes = _notes(subject, kind, symmetricity, seed, right, list(embeddings))
    result.figures["right logits"] = figures.heatmap(
        _over_sum(logits), title="Logit of the right answer by distance and sum of the operands (rows alike: clock)",
        x_title="a + b", y_title="b - a", unit="logit",
    )  # fmt: skip
    result.claims = clock_claims(
        kind, irrelevance, f"{symmetricity.mean:.2f} [{low:.2f}, {high:.2f}]", circularity, PIZZA, right=right,
        comparable=_comparable(subject, list(embeddings)), figure="right logits",
    )  # fmt: skip
    return result


def _comparable(subject: Subject, embeddings: list[str]) -> bool:
    """Whether gradients at both operands live in one space, and are not alike whatever the network computes."""
    summed = isinstance(subject.model, HookedMLP) and subject.model.config.combine == "sum"
    return len(embeddings) == 1 and not summed


def _table(circles: dict[str, clock_pizza.Circles]) -> pd.DataFrame:
    """One row per principal component of an embedding: its strongest frequency, and how much of it that is."""
    rows = [
        {"embedding": name, "component": i, "frequency": int(k), "circularity": float(c), "share of variance": float(v)}
        for name, found in circles.items()
        for i, (k, c, v) in enumerate(zip(found.frequency, found.by_component, found.variance, strict=True))
    ]
    return pd.DataFrame(rows)


def _over_sum(logits: Tensor) -> np.ndarray:
    """The right answer's logit by distance (rows) and sum (columns) of the operands."""
    by_distance = clock_pizza.right_logits(logits).cpu().numpy()
    n = len(by_distance)
    distance, left = np.indices((n, n))
    shown = np.full((n, n), np.nan)
    shown[distance, (2 * left + distance) % n] = by_distance
    return shown


def _notes(
    subject: Subject,
    kind: str,
    symmetricity: clock_pizza.Symmetricity,
    seed: int,
    right: float,
    embeddings: list[str],
) -> list[str]:
    notes = [
        "In Zhong et al. 2023 a pizza has a distance irrelevance of 0 to 0.4 and a clock of 0.4 to 1. Their example of a pizza "
        "has a gradient symmetricity of 0.99, that of a clock 0.33; between them there is no boundary.",
        f"Gradients of {symmetricity.triples:,} triples (a, b, c), drawn with seed {seed}, at the token embeddings.",
    ]
    if len(embeddings) > 1:
        notes.append(
            "Each operand has its own embedding, so the cosine of both gradients compares two spaces and says little."
        )
    elif isinstance(subject.model, HookedMLP) and subject.model.config.combine == "sum":
        notes.append(
            "This network adds its operands' embeddings first, so its gradients are symmetric whatever it computes."
        )
    if right < 0.95:
        notes.append(
            f"The network answers only {right:.0%} of its input table: these measures are meant for one that adds."
        )
    elif kind == "clock" and symmetricity.mean > 0.98 and len(notes) == 2:
        notes.append(
            "It treats its operands alike, as a pizza does, but its right logits do not depend on their distance."
        )
    return notes
