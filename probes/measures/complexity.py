"""Measure: approximate local circuit complexity, the effect of zeroing random weights of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap
from typing_extensions import override

from interp.activations.batches import placed
from interp.errors import MissingCapability, UnknownName, require_range, unknown
from interp.hooked import HookedModel
from interp.plugins.measure import measure
from interp.snapshot import Snapshot, is_matrix
from interp.subject import at_readout
from probes.complexity import kl_divergence, random_masks
from probes.measures.sparsity import Part

CHUNK_BYTES = 512 << 20  # of one batch of masks


@measure(
    "local_complexity",
    order=22,
    needs=("activations", "task"),
    summary="KL divergence when a random tenth of a layer's weights is 0",
)
def local_complexity(
    snapshot: Snapshot,
    *,
    share: float = 0.1,
    masks: int = 4,
    layers: str | None = None,
    part: Part = "train",
    seed: int = 0,
    scope: Literal["layer", "network"] = "layer",
) -> dict[str, float]:
    """Approximate local circuit complexity: ``KL(p(y|x; W) || p(y|x; W'))`` summed over the examples.

    W' is W with a random share of one layer's weights set to 0, or of all layers' at once: Golechha 2024, Progress Measures
    for Grokking on Real-world Tasks, https://arxiv.org/abs/2405.12755. The masks are the same at every checkpoint. Outputs
    must be one score per answer; a single score z counts as the logits (0, z).

    Args:
        snapshot: the network at one step.
        share: of the layer's weights to set to 0.
        masks: number of random masks.
        layers: weight matrices, by name or glob. Default: those whose effect needs no full forward pass, i.e. the layers
            after the last attention of a transformer, all layers of an MLP, and the unembedding.
        part: examples to sum over: train (as in the paper), test or all.
        seed: of the masks.
        scope: ``layer`` takes the weights from one layer after the other, ``network`` from all matrices at once (from those that
            ``layers`` names, where it is given), so that large matrices lose more.

    Returns:
        For every layer, or for ``network``, the mean over the masks in nats, ``std of`` the masks, and ``mean of`` the examples.

    Raises:
        MissingCapability: outputs that are not scores of answers.
    """
    require_range("share", share, 0, 1)
    require_range("masks", masks, 1)
    task = snapshot.task
    if not (task.criterion.logits or task.width == 1):
        raise MissingCapability(f"its loss, {task.loss}, gives no probabilities of answers; use a classification loss")
    index = torch.arange(len(task.inputs)) if part == "all" else snapshot.part(part)
    found: dict[str, float] = {}
    names = _layers(snapshot, "*" if layers is None and scope == "network" else layers)
    for name, own in {"network": names}.items() if scope == "network" else {n: [n] for n in names}.items():
        divergence = _divergence(snapshot, own, index.to(snapshot.model.device), share, masks, seed)
        total, spread = divergence.mean(), divergence.std(correction=0)
        found |= {name: float(total), f"std of {name}": float(spread), f"mean of {name}": float(total / len(index))}
    return found


def _layers(snapshot: Snapshot, pattern: str | None) -> list[str]:
    matrices = [n for n, w in snapshot.weights.items() if is_matrix(n, w)]
    if pattern is None:
        return [n for n in matrices if snapshot.model.reads(n) is not None]
    chosen = [n for n in matrices if fnmatchcase(n, pattern)]
    if not chosen:
        raise UnknownName(unknown("weight matrix", pattern, matrices))
    return chosen


@torch.no_grad()
def _divergence(
    snapshot: Snapshot, names: Sequence[str], index: Tensor, share: float, masks: int, seed: int
) -> Float[Tensor, "masks"]:
    """The divergence summed over examples, for every mask over the named layers; of one layer, from its input on."""
    model, task = at_readout(snapshot.model, snapshot.task), snapshot.task
    weights = {name: snapshot.weights[name] for name in names}
    found = snapshot.before(names[0]) if len(names) == 1 else None
    site, begin = (None, placed(task.inputs[index.cpu()], model)) if found is None else (found[0], found[1][index])
    sizes = [weight.numel() for weight in weights.values()]
    gone = random_masks(sum(sizes), share, masks, seed).to(index.device)
    clean, rest = snapshot.logits[index], _Rest(model, site)
    own = dict(model.named_parameters())

    def divergence(mask: Tensor) -> Tensor:
        parts = zip(weights.items(), mask.split(sizes), strict=True)
        changed = {f"model.{name}": weight * ~part.view(weight.shape) for (name, weight), part in parts}
        outputs = functional_call(rest, {**{f"model.{n}": p for n, p in own.items()}, **changed}, (begin,))
        return kl_divergence(clean, task.read(outputs)).sum()

    widest = max(p.shape[-1] for p in own.values())
    at_once = max(1, CHUNK_BYTES // (begin.nbytes + len(index) * widest * begin.element_size()))
    found = torch.cat([vmap(divergence)(part) for part in gone.split(at_once)])
    return found.where(gone.any(1).to(found.device), 0.0)  # an empty mask changes nothing, without rounding


class _Rest(nn.Module):
    """A model from a hook point on (None: from its inputs), as a function of its parameters."""

    def __init__(self, model: HookedModel, site: str | None):
        super().__init__()
        self.model, self.site = model, site

    @override
    def forward(self, begin: Tensor) -> Tensor:
        return self.model(begin) if self.site is None else self.model.resume(self.site, begin)
