"""Clock or pizza: how a network adds on its circles, told from its gradients, its right logits and its embeddings.

Zhong, Liu, Tegmark and Andreas 2023, The Clock and the Pizza, https://arxiv.org/abs/2306.17844. A clock multiplies waves of
both operands, and its logits are cos(w (a + b - c)); a pizza adds embeddings, and its logits are
|cos(w (a - b) / 2)| cos(w (a + b - c)), so that they depend on the distance of the operands.
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.activations.gradients import gradients
from interp.errors import InterpError, MissingCapability, require_range
from interp.hooked import HookedMLP, HookedTransformer
from interp.subject import Subject, as_subject
from interp.tasks import BinaryOperation
from probes import cyclic_tables, spectra
from probes._tensors import as_tensor

N_TRIPLES, SEED, N_COMPONENTS = 1000, 42, 4
ROUNDING = 1e-12  # standard deviation of equal numbers, relative to their size


def right_logits(logits: Float[Tensor, "p p p"]) -> Float[Tensor, "distance p"]:
    """Logit of the right answer, by distance of the operands: row d holds the logits of a + b for all pairs (a, a + d).

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        ``[d, a]`` in float64.

    Raises:
        InterpError: the shape is not ``[p, p, p]``.
    """
    logits = as_tensor(logits, "logits").detach()
    if logits.ndim != 3 or len(set(logits.shape)) != 1:
        raise InterpError(
            f"logits over the input table need the shape [p, p, p], got {list(logits.shape)}; of a subject take "
            "probes.cyclic_tables.logit_table(subject)"
        )
    a = torch.arange(len(logits), device=logits.device)
    b = (a + a[:, None]) % len(a)
    return logits[a, b, (a + b) % len(a)].double()


def distance_irrelevance(logits: Float[Tensor, "p p p"]) -> float:
    """How little the right answer's logit depends on the distance of the operands: near 0 for a pizza, near 1 for a clock.

    With L_ij the logit of i + j for the inputs i, j: the mean over distances d of the standard deviation of L_(i, i+d) over
    i, divided by the standard deviation of all L_ij (Zhong et al. 2023, https://arxiv.org/abs/2306.17844, definition 4.2;
    deviations of the population). In the paper pizzas lie between 0 and 0.4, clocks between 0.4 and 1.

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        From 0 to 1; 1 if all right answers have the same logit, which is the limit of any noise added to them.

    >>> a = torch.arange(5.0)
    >>> right = (a[:, None, None] + a[:, None] - a) % 5 == 0
    >>> distance_irrelevance(right * torch.cos(math.pi * (a[:, None] - a) / 5).abs()[..., None])
    0.0
    """
    by_distance = right_logits(logits)
    spread = by_distance.std(correction=0)
    if spread <= ROUNDING * by_distance.abs().max():
        return 1.0
    rows = by_distance.std(1, correction=0)
    return float(rows.where(rows > ROUNDING * by_distance.abs().max(), torch.zeros_like(rows)).mean() / spread)


class Circles(NamedTuple):
    """The circles of an embedding on its first principal components.

    Attributes:
        circularity: mean over the components.
        by_component: share of each component's power on its strongest frequency.
        frequency: that frequency.
        variance: share of the embedding's variance on the component.
    """

    circularity: float
    by_component: Float[Tensor, "component"]
    frequency: Int[Tensor, "component"]
    variance: Float[Tensor, "component"]


def circles(embedding: Float[Tensor, "p d"], n_components: int = N_COMPONENTS) -> Circles:
    """Circularity of an embedding: how far its first principal components are waves of one frequency each.

    Of component v: the maximum over k of 2 / (p sum_j v_j^2) |sum_j v_j exp(2 pi i j k / p)|^2; the mean over the first four
    components (Zhong et al. 2023, https://arxiv.org/abs/2306.17844, definition B.1). At k = p / 2, where a wave has no sine,
    the factor is 1, so that no component exceeds 1. Components without variance are left out: an embedding that is one
    circle has two.

    Misleads where circles are of the same size: any rotation of them is principal components, which then mix frequencies.

    Args:
        embedding: one row per element of Z_p, in order.
        n_components: the number of components.

    Returns:
        Circularity, and each component's share, frequency and variance.

    Raises:
        InterpError: fewer than one component.
        MissingCapability: an embedding that is the same for all elements.
    """
    require_range("n_components", n_components, 1)
    embedding = as_tensor(embedding, "embedding").detach().double()
    if embedding.ndim != 2 or len(embedding) < 2:
        raise InterpError(
            f"circularity needs an embedding [p, d] with p of at least 2, got shape {list(embedding.shape)}"
        )
    reduced = spectra.pca(embedding)
    kept = int((reduced.explained[:n_components] > ROUNDING).sum())
    if not kept:
        raise MissingCapability("circularity needs an embedding that differs between elements")
    scores = (embedding - embedding.mean(0)) @ reduced.basis.directions[:kept].to(embedding).T
    power = torch.fft.rfft(scores, dim=0).abs().pow(2)[1:]
    power[: (len(scores) - 1) // 2] *= 2  # rfft keeps one of k and p - k
    best = (power / (len(scores) * scores.pow(2).sum(0))).max(0)
    return Circles(float(best.values.mean()), best.values, best.indices + 1, reduced.explained[:kept])


def circularity(embedding: Float[Tensor, "p d"], n_components: int = N_COMPONENTS) -> float:
    """Mean share of the first principal components' power on one frequency each (`circles`): 1 for circles.

    Args:
        embedding: one row per element of Z_p, in order.
        n_components: the number of components.

    Returns:
        From 0 to 1.

    >>> t = 2 * math.pi * torch.arange(7) / 7
    >>> round(circularity(torch.stack([t.cos(), t.sin()], 1)), 9)
    1.0
    """
    return circles(embedding, n_components).circularity


def symmetricity(left: Float[Tensor, "triple d"], right: Float[Tensor, "triple d"]) -> Float[Tensor, "triple"]:
    """Cosine of two gradients, by triple; NaN where one of them is 0.

    Args:
        left: gradients of logit c with respect to the embedding of a.
        right: with respect to the embedding of b.

    Returns:
        From -1 to 1.
    """
    left, right = as_tensor(left, "left").double(), as_tensor(right, "right").double()
    return (left * right).sum(-1) / (left.norm(dim=-1) * right.norm(dim=-1))


class Symmetricity(NamedTuple):
    """Gradient symmetricity over sampled triples.

    Attributes:
        mean: over the triples whose gradients are not 0; NaN where there are none.
        interval: 95% interval of the mean over all triples, from the sample's standard error.
        triples: how many counted.
    """

    mean: float
    interval: tuple[float, float]
    triples: int


def gradient_symmetricity(subject: Subject, n_triples: int = N_TRIPLES, seed: int = SEED) -> Symmetricity:
    """How alike a network treats its operands: the mean cosine of a logit's gradients with respect to both embeddings.

    Over triples (a, b, c), c any answer, right or wrong: the cosine of dQ_abc / dE_a and dQ_abc / dE_b (Zhong et al. 2023,
    https://arxiv.org/abs/2306.17844, definition 4.1). 1 for a pizza and for any network that adds its operands' embeddings
    first; a clock has the mean of cos(w (a - b)), which is 0. The paper's pizza has 0.99, its clock 0.33. The gradient is
    taken at the token embedding of each operand, before positions are added.

    Args:
        subject: a transformer or an MLP with token embeddings, on a task that is addition modulo n.
        n_triples: number of triples, drawn without replacement by ``random.Random(seed)`` from all n^3 in row-major order
            (the authors draw 100 so, with seed 42); all of them where there are no more.
        seed: of the draw.

    Returns:
        The mean, its interval, and the number of triples.

    Raises:
        InterpError: fewer than one triple.
    """
    require_range("n_triples", n_triples, 1)
    left, right = operand_gradients(subject, draw_triples(as_subject(subject).require_cyclic().order, n_triples, seed))
    found = symmetricity(left, right)
    found = found[~found.isnan()]
    mean = float(found.mean())
    margin = 1.96 * float(found.std()) / math.sqrt(len(found)) if len(found) > 1 else math.nan
    return Symmetricity(mean, (mean - margin, mean + margin), len(found))


def draw_triples(n: int, n_triples: int, seed: int) -> Int[Tensor, "triple 3"]:
    """Triples of Z_n, without replacement.

    Args:
        n: the modulus.
        n_triples: how many; all n^3 where there are no more.
        seed: of the draw.

    Returns:
        ``[triple, 3]``.
    """
    drawn = random.Random(seed).sample(range(n**3), min(n_triples, n**3))
    index = torch.tensor(drawn)
    return torch.stack([index // n**2, index // n % n, index % n], 1)


def operand_gradients(
    subject: Subject, triples: Int[Tensor, "triple 3"]
) -> tuple[Float[Tensor, "triple d"], Float[Tensor, "triple d"]]:
    """Gradients of logit c for the inputs a, b, with respect to the embedding of a and to that of b, in one pass.

    Args:
        subject: a transformer or an MLP with token embeddings, on a task that is addition modulo n.
        triples: (a, b, c) as exponents: elements in the order in which the task is addition.

    Returns:
        Two tensors in float64.

    Raises:
        MissingCapability: the network has no token embeddings, or reads no pairs of operands.
    """
    subject = as_subject(subject).cast(torch.float64)
    task, model = subject.require_task(), subject.model
    if not isinstance(task, BinaryOperation) or not isinstance(model, (HookedMLP, HookedTransformer)):
        raise MissingCapability("needs a transformer or an MLP on pairs of operands")
    if "hook_embed" not in model.hook_dict:
        raise MissingCapability("needs an embedding of each token; this network takes vectors")
    rows, columns = cyclic_tables.rows(task), cyclic_tables.columns(task)
    inputs, answers = task.inputs[rows[triples[:, 0], triples[:, 1]]], columns[triples[:, 2]]

    def logit(outputs: Tensor) -> Tensor:
        logits = task.read(outputs)
        return logits.gather(-1, answers.to(logits.device)[:, None])[:, 0]

    _, found = gradients(model, inputs, logit, "hook_embed")
    gradient = found["hook_embed"].double()
    return gradient[:, task.items.index("a")], gradient[:, task.items.index("b")]
