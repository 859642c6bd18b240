"""Claims on Fourier modes: that logits, embeddings and neurons are made of a few frequencies, and how they add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interp.plugins.claim import Claim, graded
from interp.plugins.result import format_share

TOPIC = "it computes with Fourier modes"
LOGITS, LOGITS_IN_PART = 0.9, 0.25
HELD, TIMES_FLAT = 0.5, 3.0
PREFERRING, PREFERRING_IN_PART, MEDIAN = 0.8, 0.5, 0.5
ADDS = 0.95  # of the answers right, below which clock and pizza are not told apart
ROUND = 0.75  # circularity below which embeddings do not lie on circles
CLEAR = 0.2  # from the border of clock and pizza


def named(keys: Sequence[int] | Sequence[str]) -> str:
    """Frequencies as a text that two claims share when they agree, whatever the order."""
    return ", ".join(str(k) for k in sorted(keys, key=lambda k: (str(k) if isinstance(k, str) else "", k)))


def fourier_claims(
    keys: Sequence[int], logits: float, held: Mapping[str, float], n_frequencies: int, figures: Mapping[str, str]
) -> list[Claim]:
    """That few frequencies make the logits, and that the embeddings hold them.

    Args:
        keys: the key frequencies of the logits.
        logits: share of the logits' variance on functions of a + b at these.
        held: share of every operand embedding's non-constant power at these.
        n_frequencies: of the group, without the constant.
        figures: name of the figure that shows ``logits`` and of each embedding's, where there is one.

    Returns:
        a claim on the logits and, with key frequencies, one on each embedding.
    """
    flat = len(keys) / n_frequencies
    claims = [
        Claim(
            "Few frequencies of a + b make its logits",
            graded(bool(keys) and logits >= LOGITS, bool(keys) and logits >= LOGITS_IN_PART),
            "Share of the logits' variance on functions of a + b at the key frequencies",
            f"{format_share(logits)} at {_count(keys)} of {n_frequencies}" if keys else "no frequency stands out",
            f"supported from {LOGITS:.0%}, in part from {LOGITS_IN_PART:.0%}, where frequencies stand out",
            figure=figures.get("logits"),
            topic=TOPIC,
            answer=named(keys),
        )
    ]
    noun = "on the circles of these frequencies"
    claims += [
        held_claim(name, share, flat, noun, "at the key frequencies", TOPIC, figures.get(name))
        for name, share in held.items()
        if keys
    ]
    return claims


def held_claim(
    name: str, share: float, flat: float, noun: str, where: str, topic: str, figure: str | None = None
) -> Claim:
    """That an embedding holds its operands in the key parts of the logits.

    Args:
        name: of the embedding.
        share: of its non-constant power in the key parts.
        flat: the same share of an embedding without structure.
        noun: the parts, in the claim.
        where: the parts, in the test.
        topic: of the claim.
        figure: that shows it.

    Returns:
        the claim.
    """
    enough = min(max(HELD, TIMES_FLAT * flat), (1 + flat) / 2)
    return Claim(
        f"{name} holds its operands {noun}",
        graded(share >= enough, share >= min(TIMES_FLAT * flat, enough)),
        f"Share of the non-constant power of {name} {where}",
        format_share(share),
        f"supported from {format_share(enough)}, in part from {format_share(min(TIMES_FLAT * flat, enough))}: {HELD:.0%} and "
        f"{TIMES_FLAT:g} times the share without structure, at most half of the way up from it",
        f"{format_share(flat)} without structure",
        question="represents",
        figure=figure,
        topic=topic,
    )


def _count(keys: Sequence[int]) -> str:
    return f"{len(keys)} {'frequency' if len(keys) == 1 else 'frequencies'}"


def neuron_claims(
    preferring: int, active: int, median: float | None, n_keys: int, n_parts: int, *,
    figure: str | None, topic: str = TOPIC, noun: str = "frequency",
) -> list[Claim]:  # fmt: skip
    """That the neurons compute at the key frequencies, or representations.

    Args:
        preferring: active neurons of which a key part explains most.
        active: active neurons.
        median: of the share of a neuron's variance that its part explains.
        n_keys: number of key parts.
        n_parts: of all parts.
        figure: that shows it.
        topic: of the claim.
        noun: what a part is.

    Returns:
        one claim; none where no part is key.
    """
    if not n_keys:
        return []
    if not active or median is None:
        value, verdict = "no neuron is active", "not tested"
    else:
        share = preferring / active
        value = (
            f"{preferring:,} of {active:,}; one {noun} explains {format_share(median)} of the median neuron's variance"
        )
        verdict = graded(share >= PREFERRING and median >= MEDIAN, share >= PREFERRING_IN_PART and median >= MEDIAN / 2)
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return [
        Claim(
            f"Its neurons compute with these {plural}",
            verdict,
            f"Active neurons that a key {noun} explains best",
            value,
            f"supported from {PREFERRING:.0%} of the neurons and {MEDIAN:.0%} of the median neuron's variance; in part from "
            f"{PREFERRING_IN_PART:.0%} and {MEDIAN / 2:.0%}",
            f"{n_keys * active / n_parts:,.0f} if each preferred any {noun} alike",
            question="where",
            figure=figure,
            topic=topic,
        )
    ]


def clock_claims(
    kind: str, irrelevance: float, symmetricity: str, circularity: float, border: float, *, right: float,
    comparable: bool, figure: str,
) -> list[Claim]:  # fmt: skip
    """That the network adds by the clock, or by the pizza.

    Args:
        kind: ``clock`` or ``pizza``, by the distance irrelevance.
        irrelevance: of the distance.
        symmetricity: of the gradients, as text.
        circularity: of the embeddings.
        border: distance irrelevance that divides the two.
        right: share of right answers.
        comparable: whether both operands are embedded by one table and not merely added.
        figure: that shows it.

    Returns:
        one claim; none of a network that does not add.
    """
    if right < ADDS:
        return []
    away = abs(irrelevance - border)
    round_enough = circularity >= ROUND
    return [
        Claim(
            f"It adds as a {kind}",
            graded(away >= CLEAR and comparable, True) if round_enough else "not tested",
            "Distance irrelevance of the right answer's logit",
            f"{irrelevance:.2f}; gradient symmetricity {symmetricity}, circularity {circularity:.2f}"
            if round_enough
            else f"the embeddings do not lie on circles (circularity {circularity:.2f})",
            f"pizza below {border}, else clock; supported from {CLEAR} beyond that, else in part; not tested where the "
            f"embeddings lie on no circles (circularity below {ROUND}); in part where each operand has an embedding of its own",
            "a pizza of Zhong et al. 2023 has a symmetricity of 0.99, a clock 0.33",
            figure=figure,
        )
    ]
