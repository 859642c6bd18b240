"""Approximate local circuit complexity: how much the answers change when a part of a layer's weights is gone."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from interp.activations.capture import placed
from interp.errors import MissingCapability, UnknownName, require_range, unknown
from interp.hooked import HookedModel
from interp.plugins.measure import measure
from interp.snapshot import Snapshot, is_matrix
from interp.subject import at_readout
from probes.sparsity import Part

CHUNK_BYTES = 512 << 20  # of one batch of masks


def kl_divergence(clean: Float[Tensor, "... n width"], changed: Float[Tensor, "... n width"]) -> Float[Tensor, "... n"]:
    """``KL(p || p') = sum_y p(y) (ln p(y) - ln p'(y))`` of the softmax of two sets of logits, per example, in float64.

    A single output z stands for the logits (0, z).

    >>> kl_divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]])).tolist()
    [0.0]
    """
    log_p, log_q = (_pair(z.double()).log_softmax(-1) for z in (clean, changed))
    return (log_p.exp() * (log_p - log_q)).sum(-1).clamp_min(0)  # rounding goes below


def _pair(logits: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(logits), logits], -1) if logits.shape[-1] == 1 else logits


def random_masks(numel: int, share: float, n: int, seed: int) -> Bool[Tensor, "n numel"]:
    """``n`` random sets of exactly ``round(share * numel)`` entries, the same for the same seed on every device.

    >>> random_masks(10, 0.1, 3, seed=0).sum(1).tolist()
    [1, 1, 1]
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(n, numel, generator=generator, dtype=torch.float64).argsort(1)
    return order < round(share * numel)


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
    """``KL(p(y|x; W) || p(y|x; W'))``, W' = W with a random share of one layer's weights set to 0, summed over the data.

    Per layer the mean over several masks, with its standard deviation over them (``std of``) and the mean per example
    (``mean of``). The masks are the same at every checkpoint. Source: METHODS B (Golechha 2024, "approximate local circuit
    complexity"). For outputs that are one score per answer; a single output z counts as the logits (0, z).

    Args:
        share: of a layer's weights that is set to 0.
        masks: how many random choices.
        layers: which weight matrices, by name or glob; by default those that act behind the last attention (of a
            transformer), all layers of an MLP, and the readout: what can be computed without the whole forward pass.
        part: of the split, over whose examples is summed: train (as published), test or all.
        seed: of the masks.
    """
    require_range("share", share, 0, 1)
    require_range("masks", masks, 1)
    task = snapshot.task
    if not (task.criterion.logits or task.width == 1):
        raise MissingCapability(f"its loss, {task.loss}, has no probabilities of answers")
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
    """The divergence summed over examples, per mask: all masks at once, from where the layer begins to act."""
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
    return found.where(gone.flatten(1).any(1).to(found.device), 0.0)  # what takes nothing away changes nothing


class _Rest(nn.Module):
    """A model from a site on (None: from its inputs), as a function of its parameters."""

    def __init__(self, model: HookedModel, site: str | None):
        super().__init__()
        self.model, self.site = model, site

    def forward(self, begin: Tensor) -> Tensor:
        return self.model(begin) if self.site is None else self.model.resume(self.site, begin)
