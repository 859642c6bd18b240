"""Random networks: how a network's weights were drawn before training, to draw others like it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from interp.hooked import build
from interp.hooked.foreign.guest import Guest
from interp.subject import Subject, at_readout
from interp.training.masks import held_at_zero, hold
from interp.training.plan import Plan


@dataclass(frozen=True)
class Start:
    """How a network is drawn before training.

    Attributes:
        scheme: of `HookedModel.init_weights`.
        scale: factor on all weights.
        embedding_scale: factor on the embeddings besides.
        known: whether the training said so; if not, ``"normal"`` stands for it.
        plan: of the run, which knows what weights are held at 0.
        member: of the run.
    """

    scheme: str = "normal"
    scale: float = 1.0
    embedding_scale: float = 1.0
    known: bool = False
    plan: Plan | None = None
    member: int = 0

    def key(self, subject: Subject) -> tuple:
        """What two networks share whose random networks are drawn alike."""
        mask = None if self.plan is None else (id(self.plan), self.plan.setting(self.member, "mask"))
        mask = mask if mask and mask[1] is not None else None
        readout = None if subject.task is None else subject.task.readout
        config = repr(sorted(subject.model.config.to_dict().items()))
        return type(subject.model), config, readout, self.scheme, self.scale, self.embedding_scale, mask

    def template(self, subject: Subject, whole: bool = False) -> Subject:
        """A network of the subject's architecture, in float32, for `redraw`.

        Args:
            subject: a network that starts so.
            whole: compute a transformer's last block at every position, not only where the answer is read.

        Returns:
            The subject with a model of its own.
        """
        model = build(subject.model.config).to(torch.float32)
        if not whole and subject.task is not None:
            model = at_readout(model, subject.task)
        return replace(subject, model=model, step=None, series=None, precision=torch.float32)

    @torch.no_grad()
    def redraw(self, template: Subject, seed: int) -> Subject:
        """Draw the template's weights as the training draws them.

        Args:
            template: from `template`; its weights are replaced.
            seed: of the weights.

        Returns:
            The template.
        """
        model = template.model.init_weights(seed, self.scale, self.scheme)
        groups = model.parameter_groups()
        for name, parameter in model.named_parameters():
            if "embedding" in groups[name]:
                parameter *= self.embedding_scale
        if self.plan is not None:
            named = {name: p.data[None] for name, p in model.named_parameters()}
            hold(named, held_at_zero(self.plan, [self.member], {name: tuple(p.shape[1:]) for name, p in named.items()}))
        return template


def start_of(subject: Subject) -> Start | None:
    """How a subject's weights were drawn before training.

    Args:
        subject: a network.

    Returns:
        The start that its run states; otherwise matrices normal with variance 1 / fan-in; None where no random network of
        its kind can be drawn: a wrapped module, or weights that do not run.
    """
    if isinstance(subject.model, Guest) or not subject.model.runs:
        return None
    plan = subject.run.plan if subject.run is not None else None
    if not isinstance(plan, Plan):
        return Start()
    member = int(subject.origin.get("member") or 0)
    scheme = plan.setting(member, "init")
    given = scheme in plan.starts
    return Start(
        "normal" if given else scheme, plan.setting(member, "init_scale"), plan.setting(member, "embedding_scale"),
        not given, plan, member,
    )  # fmt: skip
