"""Claims on frequencies and representations: that the key ones suffice, and that they are necessary."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from circuits.claims.parts import LEFT, LOST
from interp.plugins.claim import Claim, graded
from interp.plugins.result import format_share
from probes.claims.modes import LOGITS, LOGITS_IN_PART, held_claim
from probes.claims.performance import if_solved

SUFFICES, SUFFICES_IN_PART = 0.99, 0.5
KEPT = 0.9  # of the clean right answers, at least without random parts


def sufficient_claims(
    plural: str, topic: str, answer: str, restricted: int, clean: int, total: int, losses: tuple[float, float],
    constant: int, solved: bool, figure: str,
) -> list[Claim]:  # fmt: skip
    """That the key parts of the logits alone give the right answers.

    Args:
        plural: what parts are called.
        topic: of the claim.
        answer: the key parts, as text.
        restricted: right answers with the key parts alone.
        clean: right answers of the whole network.
        total: number of answers.
        losses: restricted and clean loss.
        constant: right answers of the commonest answer.
        solved: whether the network answers better than that.
        figure: that shows it.

    Returns:
        one claim.
    """
    share = (restricted - constant) / max(clean - constant, 1)
    claims = [
        Claim(
            f"The key {plural} suffice",
            graded(share >= SUFFICES, share >= SUFFICES_IN_PART),
            f"Right answers with nothing but the key {plural} of the logits",
            f"{restricted:,} of {total:,}, restricted loss {losses[0]:.3g}",
            f"supported from {SUFFICES:.0%} of the way from the commonest answer to the whole network, in part from "
            f"{SUFFICES_IN_PART:.0%}",
            f"{clean:,} with all (loss {losses[1]:.3g}), {constant:,} by the commonest answer",
            question="needs",
            figure=figure,
            topic=topic,
            answer=answer,
        )
    ]
    return if_solved(claims, solved)


def necessary_claims(
    sets: pd.DataFrame, plural: str, topic: str, clean: int, constant: int, solved: bool, figure: str
) -> list[Claim]:
    """That without the key parts the answers are wrong, wherever they are removed, and without random ones they are not.

    Args:
        sets: right answers by place and set, as `remove_everywhere` returns them.
        plural: what parts are called.
        topic: of the claim.
        clean: right answers of the whole network.
        constant: right answers of the commonest answer.
        solved: whether the network answers better than that.
        figure: that shows it.

    Returns:
        one claim for every place.
    """
    claims = []
    for place in dict.fromkeys(sets["where"]):
        own = sets[sets["where"] == place]
        key = int(own.loc[own["removed"] == "key", "correct"].iloc[0])
        random = own.loc[own["removed"] == "random", "correct"].astype(int).to_list()
        worth = clean - constant
        lost = key <= constant + LEFT * worth
        special = not random or min(random) >= constant + KEPT * worth
        beyond = not random or key < min(random)
        where = {"embedding": "the embedding", "neurons": "the neurons", "logits": "the logits"}.get(place, place)
        claims.append(
            Claim(
                f"The key {plural} are necessary in {where}",
                graded(lost and special, beyond and key < clean - LOST * worth),
                f"Right answers without the key {plural} in {where}",
                f"{key:,} of {clean:,}",
                f"supported when at most {LEFT:.0%} of what it answers beyond the commonest answer is left and without random "
                f"{plural} at least {KEPT:.0%}; in part when fewer are right than without any random set",
                f"{min(random):,} at worst without {_sets(len(random))} of the same size"
                if random
                else f"no other {plural} are left to compare",
                question="needs",
                figure=figure,
                topic=topic,
            )
        )
    return if_solved(claims, solved)


def _sets(n: int) -> str:
    return "one random set" if n == 1 else f"one of {n} random sets"


def representation_claims(
    keys: Sequence[str], explained: float, held: dict[str, float], flat: float, n_parts: int, topic: str, figure: str
) -> list[Claim]:
    """That few irreducible representations make the logits, and that the embeddings hold them.

    Args:
        keys: the key representations.
        explained: share of the logits' variance on functions of the product at these.
        held: share of every operand embedding's non-constant power at these.
        flat: the same share of embeddings without structure.
        n_parts: of the group, without the trivial one.
        topic: of the claims.
        figure: that shows the logits.

    Returns:
        a claim on the logits and, with key representations, one on each embedding.
    """
    claims = [
        Claim(
            "Few irreducible representations make its logits",
            graded(bool(keys) and explained >= LOGITS, bool(keys) and explained >= LOGITS_IN_PART),
            "Share of the logits' variance on functions of the product in the key representations",
            f"{format_share(explained)} in {len(keys)} of {n_parts}" if keys else "no representation stands out",
            f"supported from {LOGITS:.0%}, in part from {LOGITS_IN_PART:.0%}, where representations stand out",
            question="represents",
            figure=figure,
            topic=topic,
            answer=", ".join(sorted(keys)),
        )
    ]
    claims += [
        held_claim(name, share, flat, "in these representations", "in the key representations", topic)
        for name, share in held.items()
        if keys
    ]
    return claims
