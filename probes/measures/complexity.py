"""Measure: approximate local circuit complexity, the effect of zeroing random weights of a layer."""

from __future__ import annotations

from fnmatch import fnmatchcase

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
) -> dict[str, float]:
    """Approximate local circuit complexity: ``KL(p(y|x; W) || p(y|x; W'))`` summed over the examples.

    W' is W with a random share of one layer's weights set to 0: Golechha 2024, Progress Measures for Grokking on
    Real-world Tasks, https://arxiv.org/abs/2405.12755. The masks are the same at every checkpoint. Outputs must be one
    score per answer; a single score z counts as the logits (0, z).

    Args:
        snapshot: the network at one step.
        share: of the layer's weights to set to 0.
        masks: number of random masks.
        layers: weight matrices, by name or glob. Default: those whose effect needs no full forward pass, i.e. the layers
            after the last attention of a transformer, all layers of an MLP, and the unembedding.
        part: examples to sum over: train (as in the paper), test or all.
        seed: of the masks.

    Returns:
        For every layer the mean over the masks in nats, ``std of`` the masks, and ``mean of`` the examples.

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
    for name in _layers(snapshot, layers):
        divergence = _divergence(snapshot, name, index.to(snapshot.model.device), share, masks, seed)
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
    snapshot: Snapshot, name: str, index: Tensor, share: float, masks: int, seed: int
) -> Float[Tensor, "masks"]:
    """The divergence summed over examples, for every mask; all masks run at once, from the layer's input on."""
    model, task, weight = at_readout(snapshot.model, snapshot.task), snapshot.task, snapshot.weights[name]
    found = snapshot.before(name)
    site, begin = (None, placed(task.inputs[index.cpu()], model)) if found is None else (found[0], found[1][index])
    gone = random_masks(weight.numel(), share, masks, seed).view(masks, *weight.shape)
    clean, rest = snapshot.logits[index], _Rest(model, site)
    own = dict(model.named_parameters())

    def divergence(changed: Tensor) -> Tensor:
        outputs = functional_call(rest, {f"model.{n}": changed if n == name else p for n, p in own.items()}, (begin,))
        return kl_divergence(clean, task.read(outputs)).sum()

    widest = max(p.shape[-1] for p in own.values())
    at_once = max(1, CHUNK_BYTES // (begin.nbytes + len(index) * widest * begin.element_size()))
    parts = gone.to(weight.device).split(at_once)
    found = torch.cat([vmap(divergence)(weight * ~part) for part in parts])
    return found.where(gone.flatten(1).any(1).to(found.device), 0.0)  # an empty mask changes nothing, without rounding


class _Rest(nn.Module):
    """A model from a hook point on (None: from its inputs), as a function of its parameters."""

    def __init__(self, model: HookedModel, site: str | None):
        super().__init__()
        self.model, self.site = model, site

    @override
    def forward(self, begin: Tensor) -> Tensor:
        return self.model(begin) if self.site is None else self.model.resume(self.site, begin)
