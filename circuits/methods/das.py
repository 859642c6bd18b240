"""Distributed alignment search (DAS): a subspace that carries a variable, found by training interchange interventions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from circuits.answers import Answers
from circuits.engine.arguments import require_batch, require_whole
from circuits.engine.clean_corrupted import aligned
from circuits.interventions.directions import check_dim, masked, units_last
from circuits.methods.alignment import Alignment
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp._util.threads import few_threads
from interp.activations.batches import model_for, placed
from interp.activations.capture import capture
from interp.activations.transform import transform_at
from interp.errors import InterpError, require_positive, require_range
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.sites import Site, resolve_sites
from interp.subject import Subject, as_subject, at_readout
from probes.basis import Basis


@with_bar
def das(
    subject: Subject | HookedModel,
    site: str | Site,
    base: InputsLike,
    source: InputsLike,
    answers: Tensor,
    *,
    dimensions: int = 1,
    steps: int = 200,
    lr: float = 0.03,
    batch_size: int = 256,
    held_out: float = 0.3,
    n_random: int = 16,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Alignment:
    """Distributed alignment search: the subspace of a site whose interchange gives the counterfactual answer.

    An interchange intervention runs the network on ``base``, with the part of the site's activation in the subspace taken from
    the run on ``source``. Orthonormal directions are trained by Adam so that the network then gives ``answers``: what a causal
    model would answer if its variable had the value that it has for the source. The first part of the shuffled pairs is held
    out, and random subspaces of the same size are measured on them.

    Cost: ``steps`` forward and backward passes over ``batch_size`` pairs, and a forward pass over the held-out ones for each of
    the random subspaces.

    Misleads in that a subspace with many dimensions can be trained to produce answers that the network never computes there:
    compare it with the ``random`` ones, with the same training on a network with random weights, and with sites where the
    variable cannot be. A low accuracy may be a bad local optimum; try other seeds. The subspace is found up to a rotation in it.

    Args:
        subject: the network; a task says where its answer is read.
        site: a hook point with an axis of units; a `Site` may select positions or heads, and all of them share the subspace.
        base: inputs ``[n, ...]``.
        source: for each of them another input, from which the variable's value is taken.
        answers: the counterfactual answer's index ``[n]``.
        dimensions: of the subspace.
        steps: of Adam.
        lr: its step; it falls to 0 in the end.
        batch_size: pairs in a step.
        held_out: the share of the pairs that are not trained on.
        n_random: random subspaces, for comparison.
        seed: of the split, the batches, the first and the random subspaces.
        dtype: the network runs in this, the subject's precision by default.
        progress: called with (steps done, steps in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `Alignment`: its ``.basis``, and the interchange accuracy beside that of random subspaces.

    Raises:
        UnknownSite: a site that the model does not have.
        InterpError: pairs that do not align, answers that are not indices, a site without units or of several hook points, or
            more dimensions than it has.

    Geiger et al. 2023, Finding Alignments Between Interpretable Causal Variables and Distributed Neural Representations,
    https://arxiv.org/abs/2303.02536; against reading too much into it: Makelov et al. 2023, https://arxiv.org/abs/2311.17030.
    """
    for name, value, low in (
        ("steps", steps, 1),
        ("batch_size", batch_size, 1),
        ("n_random", n_random, 0),
        ("seed", seed, 0),
    ):
        require_whole(name, value, low)
    require_positive("lr", lr)
    require_range("held_out", held_out, 0, 1)
    subject = as_subject(subject)
    base, source = aligned(base, source)
    require_batch(answers, "answers")
    if answers.shape != (len(base),) or answers.is_floating_point():
        raise InterpError(f"answers are indices [{len(base)}], one per pair, got {answers.dtype} {list(answers.shape)}")
    if len(base) < 2:
        raise InterpError("das needs at least two pairs, of which one is held out")
    pairs = _Interchange(subject.cast(dtype), site, base, source, answers)
    if not 0 <= int(answers.min()) <= int(answers.max()) < (width := pairs.logits(torch.arange(1), None).shape[-1]):
        raise InterpError(f"answers are indices of {width} outputs, got {int(answers.min())} to {int(answers.max())}")
    require_whole("dimensions", dimensions, 1, pairs.dim)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(base), generator=generator)
    n_held = min(len(base) - 1, max(1, round(held_out * len(base))))
    train, held = order[n_held:], order[:n_held]
    with few_threads(sum(p.numel() for p in pairs.model.parameters())):
        directions, losses = pairs.train(train, dimensions, steps, lr, batch_size, generator, told("steps", progress))
        found = [("held out", pairs.accuracy(held, directions)), ("train", pairs.accuracy(train, directions))]
        found += [("whole site", pairs.accuracy(held, None)), ("nothing", pairs.accuracy(held, directions[:0]))]
        for i in range(n_random):
            other = Basis.random(dimensions, pairs.dim, seed=seed + i).directions.to(directions)
            found.append(("random", pairs.accuracy(held, other)))
    names = tuple(f"{pairs.site.name} {i}" for i in range(dimensions))
    table = pd.DataFrame(found, columns=pd.Index(["interchange", "accuracy"]))
    return Alignment(Basis(directions.cpu(), names), pairs.site, table, tuple(losses))


class _Interchange:
    """Interchange interventions at one site."""

    def __init__(self, subject: Subject, site: str | Site, base: Any, source: Any, answers: Tensor):
        subject.refuse_hooks()
        model = subject.model
        found = resolve_sites(model, site)
        if len(found) > 1 or found[0].basis is not None:
            named = ", ".join(map(str, found))
            raise InterpError(f"{site}: a subspace is searched at one hook point, without a basis; found {named}")
        self.site = found[0]
        self.model = model if subject.task is None or self.site.pos is not None else at_readout(model, subject.task)
        model_for(model, base)
        self.base, self.source = placed(base, model), placed(source, model)
        self.answers, self.read = answers.to(model.device).long(), Answers(task=subject.task).read
        self.axes, name = model.axes_of(self.site.name), self.site.name
        one = capture(self.model, self.base[:1], name)[name]
        if "unit" not in self.axes or one.ndim > len(self.axes):
            raise InterpError(
                f"{name} has no units that fire once in a forward pass (its axes are {', '.join(self.axes)})"
            )
        self.dim = one.shape[self.axes.index("unit")]
        check_dim(Basis.neurons(self.dim), one, self.axes, self.site)

    def logits(self, rows: Tensor, directions: Tensor | None) -> Float[Tensor, "n answers"]:
        """What the network answers with the subspace (None: all of the site) taken from the source."""
        rows = rows.to(self.base.device)
        other = capture(self.model, self.source[rows], self.site.name)[self.site.name]
        layout = units_last(self.axes)

        def put(activation: Tensor) -> Tensor:
            after = other
            if directions is not None:
                onto = directions.T @ directions
                after = activation + layout.mapped(lambda x: x @ onto, other - activation)
            return masked(self.site.mask(after.shape, self.axes, after.device), activation, after)

        with transform_at(self.model, {self.site.name: put}):
            return self.read(self.model(self.base[rows]).unsqueeze(0))[0]

    @torch.no_grad()
    def accuracy(self, rows: Tensor, directions: Tensor | None) -> float:
        """The share of pairs that get the counterfactual answer."""
        right = [
            self.logits(part, directions).argmax(-1) == self.answers[part.to(self.answers.device)]
            for part in rows.split(4096)
        ]
        return float(torch.cat(right).double().mean())

    def train(
        self,
        rows: Tensor,
        k: int,
        steps: int,
        lr: float,
        size: int,
        generator: torch.Generator,
        seen: Callable[[int, int], None],
    ) -> tuple[Float[Tensor, "k dim"], list[float]]:
        """Orthonormal directions, and the loss of every step."""
        start = torch.randn(self.dim, k, generator=generator, dtype=torch.float64)
        free = start.to(self.base.device, self.model.dtype).requires_grad_()
        adam, losses, queue = torch.optim.Adam([free], lr=lr), [], rows[:0]
        for step in range(steps):
            while len(queue) < min(size, len(rows)):
                queue = torch.cat([queue, rows[torch.randperm(len(rows), generator=generator)]])
            part, queue = queue[:size], queue[size:]
            adam.param_groups[0]["lr"] = lr * (1 - step / steps)
            with torch.enable_grad():
                logits = self.logits(part, torch.linalg.qr(free).Q.T)
                loss = F.cross_entropy(logits, self.answers[part.to(self.answers.device)])
                adam.zero_grad()
                (free.grad,) = torch.autograd.grad(loss, free)
            adam.step()
            losses.append(loss.detach())
            seen(step + 1, steps)
        return torch.linalg.qr(free.detach()).Q.T, torch.stack(losses).tolist()
