"""What a decoder answers over the plane of two-dimensional embeddings.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343, figure 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.errors import MissingCapability, require_range
from interp.hooked import HookedMLP
from interp.subject import Subject
from interp.tasks import Task
from interp.tasks.binary import BinaryOperation


@dataclass(frozen=True)
class DecoderPlane:
    """The answers of a decoder over the plane in which the embeddings lie.

    The network was trained on sums, so the answer at a point z is that to 2 z, and the answer to i and j stands at the
    midpoint ``(E_i + E_j) / 2``, as in the source's figure.

    Attributes:
        x: first coordinate of the grid ``[column]``.
        y: second coordinate ``[row]``.
        answers: the network's answer at every point ``[row, column]``.
        embeddings: ``[symbol, 2]``.
        pairs: the operands of the task's samples ``[sample, 2]``.
        midpoints: of their embeddings ``[sample, 2]``.
        labels: the right answers ``[sample]``.
        right: whether the network's answer at the midpoint is right ``[sample]``.
        trained: which samples are in the train set ``[sample]``.
    """

    x: Float[Tensor, "column"]
    y: Float[Tensor, "row"]
    answers: Int[Tensor, "row column"]
    embeddings: Float[Tensor, "symbol 2"]
    pairs: Int[Tensor, "sample 2"]
    midpoints: Float[Tensor, "sample 2"]
    labels: Int[Tensor, "sample"]
    right: Bool[Tensor, "sample"]
    trained: Bool[Tensor, "sample"]


def answers_of(task: Task, outputs: Float[Tensor, "n width"]) -> Int[Tensor, "n"]:
    """The answer that a network's outputs give by the task's own rule: the largest logit, or the nearest of the targets.

    Args:
        task: with right and wrong answers.
        outputs: ``[n, width]``.

    Returns:
        Whole numbers ``[n]``; -1 where no answer would be right, such as outputs that are not finite.

    Raises:
        InterpError: a regression, which has no right and wrong answers.
    """
    every = [torch.full((len(outputs),), answer, device=outputs.device) for answer in range(task.n_outputs)]
    right = torch.stack([task.correct(outputs, answer) for answer in every])
    return torch.where(right.any(0), right.int().argmax(0), -1)


@torch.no_grad()
def decoder_plane(subject: Subject, *, resolution: int = 160, margin: float = 0.1) -> DecoderPlane:
    """The answer of a network that adds two-dimensional embeddings, over a grid of their plane.

    Args:
        subject: an MLP with embeddings of two dimensions that are summed (``mlp:d_embed=2,combine=sum``), and its task.
        resolution: points of the grid in each direction.
        margin: by which the grid goes beyond the embeddings, as a share of their range.

    Returns:
        The answers, with the embeddings and the midpoints of the samples on the same plane.

    Raises:
        MissingCapability: another kind of network or task.
    """
    require_range("resolution", resolution, 2)
    require_range("margin", margin, 0)
    model, task = subject.model, subject.require_task()
    if not isinstance(model, HookedMLP) or model.config.combine != "sum" or model.config.d_embed != 2:
        raise MissingCapability(
            "the decoder's plane needs an MLP that adds embeddings of two dimensions: "
            'interp.train("addition", "mlp:d_embed=2")'
        )
    if not isinstance(task, BinaryOperation) or model.W_E.ndim != 2:
        raise MissingCapability("the decoder's plane needs an operation on two symbols with one embedding table")
    table = model.W_E.detach()[: task.n_symbols]
    low, high = table.amin(0), table.amax(0)
    edge = margin * (high - low).clamp_min(1e-6)
    x, y = (torch.linspace(float(a), float(b), resolution) for a, b in zip(low - edge, high + edge, strict=True))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1).to(table)
    answers = answers_of(task, model.resume("hook_input", 2 * grid))
    middle = table[task.pairs.to(table.device)].mean(1)
    labels = task.labels.to(table.device)
    trained = torch.zeros(len(labels), dtype=torch.bool)
    trained[task.train_indices] = True
    right = answers_of(task, model.resume("hook_input", 2 * middle)) == labels
    return DecoderPlane(
        x, y, answers.view(resolution, resolution).cpu(), table.cpu(), task.pairs, middle.cpu(), task.labels, right.cpu(), trained
    )  # fmt: skip
