"""The discussion's experiments in numbers: a row per network, per mode, per gradient and per forgotten example, as CSV.

    python examples/long_runs/modular_addition.py RUNS examples/measured

RUNS is the folder of runs of `make evidence`; those that are there and finished are measured, the rows of the others stay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import interp
import probes
from interp import Subject
from probes.change_points import change_point, first_step_above
from probes.growth import growth
from probes.stability import slingshots

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import finished, start, store
from long_runs.what_leads import CASES

P113 = CASES["p113"].folders
COUNTED = (
    "mlp_modes", "mlp_modes_more", "mlp_embed24", "mlp_embed24_more", "mlp_embed52", "mlp_free", "optimisers_adam",
    "optimisers_adam_slow", "optimisers_sgd", "losses", "p53", *P113,
)  # fmt: skip
NETWORKS = (
    *COUNTED, "mlp_free_longer", "mlp_leads", "sgd_large", "fractions", "prime_11", "prime_23", "prime_53", "prime_113",
    "init_scale", "frozen", "slingshots",
)  # fmt: skip
MODES = ("mlp_modes", "mlp_embed24", "mlp_embed52", *P113)
STARTS = ("mlp_modes", "p53", *P113)
MEMORY = ("mlp_memory", "mlp_modes")  # networks that memorise alone, and networks that generalise
FORGOTTEN = 50  # examples of each network that are made wrong
STEPS = torch.logspace(-4, 1, 41)  # lengths of the step against an example's gradient that are tried


def networks(run: interp.Run, count: bool) -> pd.DataFrame:
    """A row per network: its settings, when it learnt, and how many modes it learnt."""
    plan, last = run.plan, run.members
    task: Any = plan.task
    found, tenth, full = (run.phases(share, side=">=", limit=10**9) for share in (0.9, 0.1, 0.999))
    rows = []
    for member, own in run.metrics.groupby("member"):
        settings = plan.members[int(str(member))]
        train = list(zip(own["step"], own["train_accuracy"], strict=True))
        test = change_point(own["step"].tolist(), own["test_accuracy"].tolist(), log=False)
        jumps = slingshots(own["step"].tolist(), own["train_loss"].tolist())
        rows.append({
            "member": member, "seed": settings.get("seed", settings.get("init_seed", task.seed)),
            "optimizer": plan.optimizer.name, "p": task.p, "loss": settings.get("loss", task.loss),
            "lr": settings.get("lr", plan.optimizer.lr),
            "weight_decay": settings.get("weight_decay", plan.optimizer.weight_decay),
            "train_fraction": settings.get("train_fraction", task.train_fraction),
            "init_scale": settings.get("init_scale", 1.0), "frozen": "+".join(settings.get("frozen", ())),
            "steps": own["step"].max(), "train_accuracy": last.loc[member, "train_accuracy"],
            "test_accuracy": last.loc[member, "test_accuracy"], "train_at": found.loc[member, "train_at"],
            "test_at": found.loc[member, "test_at"], "train_half": first_step_above(train, 0.5),
            "train_tenth": tenth.loc[member, "train_at"], "test_tenth": tenth.loc[member, "test_at"],
            "train_full": full.loc[member, "train_at"],
            "test_low": None if test is None else test.low, "test_high": None if test is None else test.high,
            "slingshots": " ".join(map(str, jumps)),
            "modes": len(keys(run.subject(int(str(member))))) if count else None,
        })  # fmt: skip
    return pd.DataFrame(rows)


def keys(subject: Subject) -> list[int]:
    """The key frequencies of the logits."""
    return probes.fourier.logit_frequencies(probes.cyclic_tables.logit_table(subject))


def modes(run: interp.Run, _: bool = False) -> pd.DataFrame:
    """A row per network and frequency: whether it is learnt, how it grew, and over the last half the loss with it alone, and
    how much higher the loss is without it.
    """
    rows = []
    for member in range(len(run)):
        subject = run.subject(member)
        learnt, p = set(keys(subject)), subject.require_task().p  # type: ignore[attr-defined]
        every = {name: {"frequencies": tuple(range(1, p // 2 + 1))} for name in ("mode_power", "frequency_loss")}
        frame = probes.progress(run, ",".join((*every, "loss")), options=every, members=[member])
        curves = {where: own.set_index("step")["value"] for where, own in frame.groupby("where")}
        for k in range(1, p // 2 + 1):
            power, alone = curves[f"frequency {k}"], curves[f"{k} alone"]
            late = alone[alone.index >= alone.index[-1] / 2]
            without = (curves[f"without {k}"] - curves["all"])[late.index]
            shape = growth(power.index.tolist(), power.tolist()) if k in learnt else None
            rows.append({
                "member": member, "p": p, "frequency": k, "key": k in learnt, "power": power.iloc[-1],
                "alone_mean": late.mean(), "alone_away": float(np.abs(late.to_numpy() - late.mean()).max()),
                "alone_low": late.min(), "alone_high": late.max(),
                "without_low": without.min(), "without_high": without.max(), **({} if shape is None else asdict(shape)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def starts(run: interp.Run, _: bool = False) -> pd.DataFrame:
    """At the initial weights: cosines between the gradient of cross-entropy and those of what is said to stand for it."""
    rows = []
    for member in range(len(run)):
        subject = run.subject(member, step=0)
        weights, logits = parameters(subject), logits_of(subject)
        labels = subject.require_task().labels[subject.require_task().train_indices]

        def right(w: Mapping[str, Tensor], f=logits, y=labels) -> Tensor:
            return -f(w).gather(1, y[:, None]).mean()

        def centred(w: Mapping[str, Tensor], f=logits, y=labels) -> Tensor:
            out = f(w)
            return -(out - out.mean(1, keepdim=True)).gather(1, y[:, None]).mean()

        def entropy(w: Mapping[str, Tensor], f=logits, y=labels) -> Tensor:
            return torch.nn.functional.cross_entropy(f(w), y)

        of_loss = flat(grad(entropy)(weights))
        cosines = {
            name: float(torch.cosine_similarity(of_loss, flat(grad(one)(weights)), dim=0))
            for name, one in (("right_logit", right), ("right_minus_mean", centred))
        }
        rows.append({"member": member, "p": logits(weights).shape[1], **cosines})
    return pd.DataFrame(rows)


def memory(run: interp.Run, _: bool = False) -> pd.DataFrame:
    """What is lost with one train example: each of `FORGOTTEN` is made wrong by the shortest step against its own gradient."""
    rows = []
    for member in range(len(run)):
        subject = run.subject(member)
        weights, logits = parameters(subject), logits_of(subject)
        task = subject.require_task()
        labels = task.labels[task.train_indices]
        chosen = torch.randperm(len(labels), generator=torch.Generator().manual_seed(member))[:FORGOTTEN]

        def margin(w: Mapping[str, Tensor], i: Tensor, f=logits, y=labels) -> Tensor:
            return torch.log_softmax(f(w, i[None])[0], 0)[y[i]]

        gradients = torch.stack([flat(grad(margin)(weights, i)) for i in chosen])
        values = torch.linalg.svdvals(gradients)
        q = values**2 / (values**2).sum()
        lost, lengths = [], []
        for i, direction in zip(chosen, gradients, strict=True):
            wrong, length = first_wrong(logits, weights, unflat(direction / direction.norm(), weights), i, labels)
            if wrong is not None:
                lost.append(1 - float(wrong.sum() / (len(labels) - 1)))
                lengths.append(length)
        rows.append({
            "member": member, "steps": run.plan.steps, "forgotten": len(lost), "examples": len(labels),
            "parameters": gradients.shape[1],
            "others_lost_median": float(pd.Series(lost).median()), "others_lost_mean": float(pd.Series(lost).mean()),
            "step_median": float(pd.Series(lengths).median()),
            "gradient_rank": float(torch.exp(-(q * q.clamp_min(1e-300).log()).sum())) / len(chosen),
        })  # fmt: skip
    return pd.DataFrame(rows)


def first_wrong(
    logits: Callable[..., Tensor], weights: Mapping[str, Tensor], step: Mapping[str, Tensor], i: Tensor, labels: Tensor
) -> tuple[Tensor | None, float]:
    """Which examples are right after the shortest step that makes one of them wrong, and its length; None if none does."""

    def moved(length: Tensor | float) -> dict[str, Tensor]:
        return {n: w - length * step[n] for n, w in weights.items()}

    own = vmap(lambda length: logits(moved(length), i[None])[0])(STEPS)
    wrong = (own.argmax(1) != labels[i]).nonzero()
    if not len(wrong):
        return None, float("nan")
    length = float(STEPS[wrong[0, 0]])
    return logits(moved(length)).argmax(1) == labels, length


def parameters(subject: Subject) -> dict[str, Tensor]:
    """The weights in float64."""
    return {name: value.detach().double() for name, value in subject.model.named_parameters()}


def logits_of(subject: Subject) -> Callable[..., Tensor]:
    """A function of the weights: logits of the train examples, or of some of them, ``[example, answer]``."""
    task, model = subject.require_task(), subject.model.double()
    inputs = task.inputs[task.train_indices]

    def logits(weights: Mapping[str, Tensor], which: Tensor | slice = slice(None)) -> Tensor:
        return task.read(functional_call(model, dict(weights), (inputs[which],)))

    return logits


def flat(weights: Mapping[str, Tensor]) -> Tensor:
    """All entries in one vector."""
    return torch.cat([value.flatten() for value in weights.values()])


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A vector in the shapes of the weights."""
    parts = vector.split([value.numel() for value in like.values()])
    return {name: part.view_as(value) for (name, value), part in zip(like.items(), parts, strict=True)}


TABLES: Mapping[str, tuple[Callable[[interp.Run, bool], pd.DataFrame], tuple[str, ...]]] = {
    "networks": (networks, NETWORKS), "starts": (starts, STARTS), "memory": (memory, MEMORY), "modes": (modes, MODES),
}  # fmt: skip


def main(runs: Path, out: Path) -> None:
    """Write every table; a run that is not there or not finished keeps the rows that it has."""
    for name, (measure, names) in TABLES.items():
        for folder, run in finished(runs, names).items():
            new = measure(run, folder in COUNTED)
            new.insert(0, "run", folder)
            store(new, out / f"modular_addition_{name}.csv")
            print(name, folder, len(new), flush=True)


if __name__ == "__main__":
    start(main, __doc__)
