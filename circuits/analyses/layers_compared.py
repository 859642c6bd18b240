"""The joint analysis ``interventions``: similarity beside stitching and interchange, layer by layer, and where they disagree."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from circuits.two_networks.network_comparison import compare
from interp.plugins.joint import joint_analysis
from interp.plugins.result import Result
from interp.subject import Subject

PARTS = ("similarity", "stitching", "interchange")


@joint_analysis(
    "interventions",
    needs=("outputs",),
    summary="Layer by layer: how alike, does it stitch, what does the shared subspace carry; where these disagree",
    order=62,
    most=3,
)
def interventions(
    subjects: Mapping[str, Subject], *, n_random: int = 3, draws: int = 39, n_inputs: int = 4096, seed: int = 0
) -> Result:
    """Compare the first network with every other, layer by layer; see `circuits.compare`.

    Args:
        subjects: networks whose inputs agree.
        n_random: random networks that are stitched, and random subspaces that are interchanged.
        draws: of chance, for the similarity.
        n_inputs: at most so many of the inputs that all have.
        seed: of everything random.

    Returns:
        a row per layer and direction: CKA beside chance, the stitch's place between random and clean, what the shared
        directions carry, and whether similarity and intervention agree.
    """
    (name, first), *others = subjects.items()
    first, result, rows, said = replace(first, name=name), Result(), [], []
    for other, one in others:
        found = compare(
            first, replace(one, name=other), only=PARTS, n_random=n_random, draws=draws, n_inputs=n_inputs, seed=seed
        )
        rows.append(found.rows.assign(pair=f"{name} and {other}"))
        result.figures[f"layers: {name} and {other}"] = found.figure()
        result.notes += [note for note in found.notes if note not in result.notes]
        made = found.rows.to_dict("records")
        against = [row for row in made if str(row["verdict"]).startswith("disagree")]
        told = sum(not str(row["verdict"]).startswith("no verdict") for row in made)
        said.append(
            f"{name} and {other}: similarity and stitching disagree at {len(against)} of {told} layers and directions"
            + (f", such as {_said(against[0])}" if against else "")
        )
    result.tables["layers"] = pd.concat(rows, ignore_index=True)
    result.lead = next(iter(result.figures))
    verdicts = result.tables["layers"]["verdict"].astype(str)
    result.metrics = {
        "layers_and_directions": len(verdicts), "agree": int(verdicts.str.startswith("agree").sum()),
        "disagree": int(verdicts.str.startswith("disagree").sum()),
    }  # fmt: skip
    result.headline = "; ".join(said)
    return result


def _said(row: Mapping[Hashable, Any]) -> str:
    what = str(row["verdict"]).removeprefix("disagree: ")
    return f"{row['site_to']} from {row['sender']} ({what}: CKA {row['cka']:.2f}, relative {row['relative']:.2f})"
