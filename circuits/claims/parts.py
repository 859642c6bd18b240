"""Claims on parts of a network: which are necessary, how few suffice, and how few directions carry what it does."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from interp.plugins.claim import Claim, graded
from interp.plugins.result import format_metric
from probes.claims.performance import if_solved

LEFT, LOST = 0.5, 0.01  # of what is answered beyond the commonest answer: left at most, lost at least
SMALL = 0.5  # of all parts
OTHERS = 0.5  # of the faithfulness: what random circuits of its size may reach
NOTHING, NOTHING_IN_PART = 0.1, 0.5  # of the faithfulness, that the rest of the network has left
FEW = 0.25  # of a site's dimensions
KINDS = {"attention": "attention layer", "mlp": "MLP layer", "heads": "head", "neurons": "neuron", "units": "unit"}
MOST = 4  # layers with a claim of their own


def ablation_claims(
    frames: Mapping[str, pd.DataFrame], clean: int, constant: int, total: int, solved: bool, shown: set[str]
) -> list[Claim]:
    """That layers are necessary, and whether a single head or neuron is.

    Args:
        frames: effect of every component by kind, as `circuits.ablate` returns rows.
        clean: right answers of the whole network.
        constant: right answers of the commonest answer.
        total: number of answers.
        solved: whether the network answers better than the commonest answer.
        shown: names of the kinds with a figure.

    Returns:
        a claim for every layer (the first four of a kind), one for all heads and one for all neurons.
    """
    worth, claims = clean - constant, []
    for kind, frame in frames.items():
        own, random = frame.query("not baseline"), frame.query("baseline")
        if kind in ("attention", "mlp"):
            for row in own.head(MOST).to_dict("records"):
                left = int(row["correct"])
                claims.append(_layer(f"{row['component']} is necessary", left, worth, constant, clean, total))
            continue
        counts = [int(n) for n in own["correct"].to_list()]
        left, noun = min(counts), KINDS.get(kind, kind)
        worst = own["component"].to_list()[counts.index(left)]
        compared = min((int(n) for n in random["correct"].to_list()), default=None)
        far = compared is None or left < compared
        claims.append(
            Claim(
                f"A single {noun} is necessary",
                graded(far and left <= constant + LEFT * worth, far and left < clean - LOST * worth),
                f"Right answers without any one of {len(own):,} {noun}s",
                f"{left:,} of {total:,} at the fewest, without {worst}",
                f"supported when at most {LEFT:.0%} of what is answered beyond the commonest answer is left, in part when "
                f"{LOST:.0%} is lost, and more than without any random direction",
                ""
                if compared is None
                else f"{compared:,} at the fewest without one of {len(random)} random ones of its size",
                figure=kind if kind in shown else None,
            )
        )
    return if_solved(claims, solved)


def _layer(text: str, left: int, worth: int, constant: int, clean: int, total: int) -> Claim:
    return Claim(
        text,
        graded(left <= constant + LEFT * worth, left < clean - LOST * worth),
        "Right answers without it",
        f"{left:,} of {total:,}",
        f"supported when at most {LEFT:.0%} of what is answered beyond the commonest answer is left, in part when {LOST:.0%} is "
        "lost",
        f"{clean:,} with it, {constant:,} by the commonest answer",
    )


def circuit_claims(
    kept: int, parts: int, faithfulness: float, completeness: float, random: list[float], metric: str, noun: str,
    asked: float, solved: bool, figure: str,
) -> list[Claim]:  # fmt: skip
    """That a small circuit suffices, and that nothing else does the task.

    Args:
        kept: parts of the circuit.
        parts: of the network.
        faithfulness: of the circuit.
        completeness: of everything but the circuit.
        random: faithfulness of random circuits of its size.
        metric: what is kept.
        noun: what parts are called.
        asked: faithfulness that was asked for.
        solved: whether the network answers better than the commonest answer.
        figure: that shows the circuit.

    Returns:
        one claim, or two where anything is left out.
    """
    best = max(random, default=None)
    special = best is None or best <= OTHERS * faithfulness
    enough, share = faithfulness >= asked, kept / parts if parts else 1.0
    claims = [
        Claim(
            f"A small circuit of {noun} suffices",
            graded(
                enough and share <= SMALL and special, enough and kept < parts and (best is None or best < faithfulness)
            ),
            f"Smallest set of {noun} that keeps {asked:.0%} of the {metric}, everything else at its mean",
            f"{kept:,} of {parts:,}, faithfulness {faithfulness:.3f}",
            f"supported up to {SMALL:.0%} of the parts and twice as faithful as any random circuit of the size, in part when "
            "anything can be left out and no random circuit does as well",
            "" if best is None else f"{best:.3f} by the best of {len(random)} random circuits of that size",
            figure=figure,
        )
    ]
    if kept < parts:  # without everything nothing is left to test
        claims.append(
            Claim(
                f"Without that circuit of {noun} nothing does the task",
                graded(completeness <= NOTHING, completeness <= NOTHING_IN_PART),
                f"Share of the {metric} that is left when only the circuit is ablated",
                f"{max(completeness, 0.0):.3f}",
                f"supported up to {NOTHING:g}, in part up to {NOTHING_IN_PART:g}",
                figure=figure,
            )
        )
    return if_solved(claims, solved)


def direction_claims(
    needed: Mapping[str, int | None], dimensions: Mapping[str, int], share: float, solved: bool, figure: str | None
) -> list[Claim]:
    """That few principal components of each site carry what the network does.

    Args:
        needed: fewest components that keep the accuracy, by site; None where all are not enough.
        dimensions: of each site.
        share: of the accuracy that counts as kept.
        solved: whether the network answers better than the commonest answer.
        figure: that shows it.

    Returns:
        one claim; none without sites.
    """
    if not needed:
        return []
    few = [n is not None and n <= FEW * dimensions[site] for site, n in needed.items()]
    claims = [
        Claim(
            "Few directions of its activations carry what it does",
            graded(all(few), any(few)),
            f"Fewest principal components of a site that keep {format_metric(share)} of the accuracy",
            ", ".join(
                f"{n if n is not None else 'more than all'} of {dimensions[site]} at {site}"
                for site, n in needed.items()
            ),
            f"supported when every site needs at most {FEW:.0%} of its dimensions, in part when one does",
            figure=figure,
        )
    ]
    return if_solved(claims, solved)
