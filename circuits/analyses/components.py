"""The analysis ``components``: how many principal components of its sites, and what rank of its weights, a network needs."""

from __future__ import annotations

from typing import Literal

import torch

from circuits.analyses.held_sites import add_components, curve, in_words
from circuits.analyses.ranks import add_ranks
from circuits.analyses.start_of_run import add_start
from circuits.analyses.sufficient import Goal
from circuits.claims.parts import direction_claims
from circuits.compression.derived import scores_of
from circuits.compression.held import Held
from interp.errors import require_range
from interp.hooked.base import HookedModel
from interp.hooked.foreign.guest import Guest
from interp.plugins.analysis import Result, analysis
from interp.scores import of_constant
from interp.sites import resolve_sites
from interp.subject import Subject
from probes.claims.performance import better

CHECKPOINTS = 5  # of a series, at which the first site is restricted
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@analysis(
    "components",
    needs=("activations",),
    summary="Accuracy against principal components of the main sites, and against the rank of the weights",
    order=62,
    question="needs",
    renamed={"keep": "accuracy"},
)
def components_analysis(
    subject: Subject,
    *,
    sites: str | None = None,
    accuracy: float = 0.99,
    checkpoints: int = CHECKPOINTS,
    dtype: Literal["float32", "float64"] = "float32",
) -> Result:
    """Restrict one site at a time to its first principal components, and all weights to low rank; for a series, the start too.

    Args:
        subject: with a task.
        sites: hook point, or glob; by default the embedding (or input), the neurons and the residual stream after each block.
        accuracy: the share of the network's accuracy that counts as kept; of a regression, of the fall of the loss.
        checkpoints: of a series, at how many the first site is restricted; 0 leaves that out.
        dtype: in which the networks run; losses are computed in float64.

    Returns:
        accuracy and loss against the number of components and against the rank, and the smallest that are enough.
    """
    require_range("accuracy", accuracy, 0, 1)
    require_range("checkpoints", checkpoints, 0, 10_000)
    subject = subject.cast(DTYPES[dtype])
    names = main_sites(subject.model) if sites is None else [s.name for s in resolve_sites(subject.model, sites)]
    whole, result = scores_of(subject), Result()
    result.metrics = {"loss": whole.loss, "accuracy": whole.accuracy}
    found: list[str] = []
    if not isinstance(subject.model, Guest):
        found.append(add_ranks(result, subject, whole, accuracy))
    else:
        result.notes.append(
            "Ranks are left out: a wrapped module of other code cannot be built again with weights of low rank."
        )
    numbers = {}
    held = {name: Held.of(subject, name) for name in names}
    curves = {name: curve(one, whole, accuracy) for name, one in held.items()}
    if curves:
        numbers = add_components(result, held, curves, whole, accuracy)
        goal = Goal(whole, whole, accuracy)
        dimensions = {name: held[name].basis.dim for name in numbers}
        task = subject.require_task()
        solved = not task.criterion.answers or better(whole.all, of_constant(task).all)
        result.claims = direction_claims(numbers, dimensions, accuracy, solved, result.lead)
        found = [in_words(name, n, held[name], goal) for name, n in numbers.items()] + found
    if checkpoints and names and subject.series is not None and len(subject.series) > 1:
        found += add_start(result, subject, held, numbers, checkpoints)
    result.headline = (
        "; ".join(found) or "No site has a feature axis without heads, so none can be restricted: name one with sites="
    )
    return result


def main_sites(model: HookedModel) -> list[str]:
    """The embedding (or the input where there is none), hidden units, and the residual stream after each block."""
    entry = "hook_embed" if "hook_embed" in model.hook_dict else "hook_input"
    ends = ("hook_post", "hook_resid_post", "hook_final", "hook_hidden")
    names = [name for name in model.hook_dict if name == entry or name.endswith(ends)]
    return [name for name in names if _plain(model.axes_of(name))]


def _plain(axes: tuple[str, ...]) -> bool:
    return axes[0] == "batch" and axes[-1] == "unit" and "head" not in axes
