"""Interchange of the subspace that two networks share: the receiver's part along it comes from the sender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor
from typing_extensions import override

from circuits.engine.arguments import require_whole
from circuits.findings import Findings
from circuits.two_networks.grouped_rows import grouped
from circuits.two_networks.receiver import Receiver, Rows
from circuits.two_networks.shared_subspace import SharedSubspace
from circuits.two_networks.sides import MOST, Side, sides, two_names
from circuits.two_networks.stitching import DIRECTIONS, Direction, site_pairs
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.report import figures
from interp.subject import Subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

BOTH = ("interchanged", "mean-ablated")


@dataclass(frozen=True, eq=False, repr=False)
class Interchange(Findings):
    """A receiver whose activation takes a part from another network.

    Attributes:
        found: what `rows` shows, a dict each.
        subspaces: by (sender, receiver, site): the directions, with their correlations.
        answers: whether there is an accuracy.
        notes: which inputs, and what to be careful about.
    """

    found: Sequence[Mapping[str, Any]]
    subspaces: Mapping[tuple[str, str, str], SharedSubspace]
    answers: bool
    notes: tuple[str, ...]

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """A row per sender, receiver, part of the activation and treatment.

        ``part``: ``shared`` directions, the ``complement``, as many ``random`` ones (mean over draws, with ``loss_low`` and
        so on); ``what``: ``interchanged`` (taken from the sender) or ``mean-ablated``; ``rank``; ``variance``: share of the
        receiver's activation along the part; ``loss, accuracy`` on judged inputs beside ``clean_*``; ``lost``: share of the
        output's variance that changed.
        """
        return pd.DataFrame(list(self.found))

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per part, treatment and metric, as every finding has it."""
        rows = []
        for i, one in enumerate(self.found):
            for metric in ("loss", "accuracy") if self.answers else ("loss",):
                rows.append({
                    "component": f"{one['part']} {one['what']}: {one['sender']} in {one['receiver']}",
                    "site": one["site"], "index": i, "metric": metric, "clean": one[f"clean_{metric}"],
                    "changed": one[metric], "change": one[metric] - one[f"clean_{metric}"],
                })  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def metric(self) -> str:
        """What is judged first."""
        return "accuracy" if self.answers else "loss"

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """Ranks, and what interchanging and removing the shared part does."""
        said: dict[str, Any] = {}
        rows, text = self.rows, "{:.1%}" if self.answers else "{:.3g}"
        several = len({one["site"] for one in self.found}) > 1
        last = {(one["sender"], one["receiver"]): one["site"] for one in self.found}
        for (sender, receiver, site), own in grouped(rows, ["sender", "receiver", "site"]):
            if site != last[sender, receiver]:
                continue  # the last of several layers stands for them
            by = {(r["part"], r["what"]): r for r in own.to_dict("records")}
            shared = by["shared", "interchanged"]
            value, gone = (text.format(by["shared", w][self.metric]) for w in BOTH)
            random = text.format(by["random", "interchanged"][self.metric])
            said[f"{sender} in {receiver}" + (f" at {site}" if several else "")] = (
                f"{shared['rank']} shared directions ({shared['variance']:.0%} of the variance): {self.metric} {value} "
                f"interchanged, {gone} removed, {random} with as many random directions interchanged "
                f"(clean {text.format(shared['clean_' + self.metric])})"
            )
        return {**said, "notes": "; ".join(self.notes)}

    @override
    def figure(self) -> go.Figure:
        """The metric of every part, interchanged and mean-ablated."""
        from interp.notebook.figure import Figure

        figure, rows = Figure(), self.rows
        rows = rows.drop_duplicates(["sender", "receiver", "part", "what"], keep="last")  # the last of several layers
        for i, what in enumerate(BOTH):
            own = rows[rows["what"] == what]
            labels = [[f"{r['sender']} in {r['receiver']}" for _, r in own.iterrows()], list(own["part"])]
            figure.add_bar(x=labels, y=own[self.metric], name=what, marker_color=figures.look(i)[0])
        return figures.style(figure, "Interchange of shared directions", "", f"{self.metric} on judged inputs", 420)


def interchange(
    a: Subject | HookedModel,
    b: Subject | HookedModel,
    site: str | None = None,
    site_b: str | None = None,
    *,
    rank: int | None = None,
    inputs: InputsLike | None = None,
    ridge: float = 0.0,
    n_random: int = 5,
    draws: int = 39,
    seed: int = 0,
    direction: Direction = "both",
    n_inputs: int | None = MOST,
) -> Interchange:
    """Take the part of an activation that two networks share from the other network, and keep the rest.

    Shared directions are canonical variates of the receiver's activation: those of which the sender's activation explains at
    least half on inputs that nothing was fitted to, and more than with its inputs permuted. The receiver's value along them
    is replaced by what the fitted affine map makes of the sender's activation on the same input. Beside that stand the
    complement, as many random directions (of the activation in white coordinates), and all of these at their mean instead:
    where interchange costs nothing and removal much, the two networks use the shared part alike.

    Misleads where the activation has few inputs per feature: the map is then noise off the fitting inputs (give a ridge), and
    where weak directions matter, which count here as strong ones do.

    Args:
        a: a network, with its task if it has one.
        b: another whose inputs agree.
        site: of ``a``; the last hidden layer by default.
        site_b: of ``b``; as in `stitch`.
        rank: how many directions, the most correlated first; by default those that are shared.
        inputs: as in `stitch`.
        ridge: as in `stitch`.
        n_random: sets of random directions.
        draws: permutations, for the null of the correlations.
        seed: of the draws.
        direction: as in `stitch`.
        n_inputs: as in `stitch`.

    Returns:
        `Interchange`.

    Raises:
        UnknownName: no such direction.
        InterpError: inputs that do not agree, several sites, or a rank that the activation does not have.
        UnknownSite: a network has no such site.

    Geiger et al. 2021, Causal abstractions of neural networks, https://arxiv.org/abs/2106.02997, interchange within a network;
    Raghu et al. 2017, SVCCA, https://arxiv.org/abs/1706.05806, for canonical directions of two.
    """
    require_whole("n_random", n_random, 1, 100)
    require_range("ridge", ridge, 0)
    if direction not in DIRECTIONS:
        raise UnknownName(unknown("direction", direction, DIRECTIONS))
    if site == "all":
        raise InterpError(
            "interchange compares one pair of sites: name one, or leave it out for the last hidden layers"
        )
    found, note = sides(two_names(a, b), inputs, n_inputs, seed)
    first, second = two = tuple(found.values())
    pair = site_pairs(first, second, site, site_b)[0]
    rows: list[dict[str, Any]] = []
    subspaces, notes = {}, [note]
    for sender, receiver in DIRECTIONS[direction]:
        one, other = two[sender], two[receiver]
        subspace, made = interchanged(
            one, other, pair[sender], pair[receiver], rank=rank, ridge=ridge, n_random=n_random, draws=draws, seed=seed
        )
        rows += made
        subspaces[one.name, other.name, pair[receiver]] = subspace
        notes += [other.split] if other.split not in notes else []
    return Interchange(rows, subspaces, two[0].answers and two[1].answers, tuple(notes))


def interchanged(
    sender: Side, receiver: Side, site_from: str, site_to: str, *, rank: int | None = None, ridge: float = 0.0,
    n_random: int = 5, draws: int = 39, seed: int = 0,
) -> tuple[SharedSubspace, list[dict[str, Any]]]:  # fmt: skip
    """The interchange from one network into another: the directions, and the rows of `Interchange`."""
    into = Receiver.of(receiver, site_to)
    y = into.rows.double()
    x = sender.rows(site_from).double().to(y.device)
    fit, judged = receiver.fit.to(y.device), receiver.judged.to(y.device)
    space = SharedSubspace.of(x, y, fit, judged, ridge=ridge, draws=draws, seed=seed)
    k = len(space.held_out)
    rank = space.rank if rank is None else rank
    require_whole("rank", rank, 0, k)
    chosen = space.shared(rank)
    others = torch.tensor([i for i in range(k) if i not in set(chosen.tolist())], dtype=torch.long, device=y.device)
    axes = torch.eye(k, dtype=y.dtype, device=y.device)
    generator = torch.Generator().manual_seed(seed)
    turns = [torch.randn(k, rank, generator=generator, dtype=torch.float64).to(y.device) for _ in range(n_random)]
    parts: list[tuple[str, Tensor]] = [("shared", axes[:, chosen]), ("complement", axes[:, others])]
    parts += [("random", torch.linalg.qr(t).Q) for t in turns]
    own, theirs = ((rows - space.mean) @ space.read for rows in (y, space.fitted(x)))
    changes = [_along(y, own, put, q, space) for _, q in parts for put in (theirs, torch.zeros_like(own))]
    scores, clean = receiver.scores(into.measured(changes)), receiver.judge(receiver.clean)
    size = space.write.square().sum()
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    for i, (name, q) in enumerate(parts):
        share = float((q.T @ space.write).square().sum() / size) if k else 0.0
        for j, what in enumerate(BOTH):
            rows.setdefault((name, what), []).append({**scores[2 * i + j], "variance": share, "rank": q.shape[1]})
    ids = {"sender": sender.name, "receiver": receiver.name, "site": site_to}
    return space, [_row(ids, name, what, values, clean) for (name, what), values in rows.items()]


def _row(
    ids: Mapping[str, str], name: str, what: str, values: list[dict[str, float]], clean: Mapping[str, float]
) -> dict[str, Any]:
    row: dict[str, Any] = {**ids, "part": name, "what": what, "rank": int(values[0]["rank"])}
    row |= {c: sum(v[c] for v in values) / len(values) for c in ("variance", "loss", "accuracy", "lost")}
    for c in ("loss", "accuracy"):
        row |= {f"clean_{c}": clean[c], f"{c}_low": min(v[c] for v in values), f"{c}_high": max(v[c] for v in values)}
    return row


def _along(y: Tensor, own: Tensor, put: Tensor, q: Tensor, space: SharedSubspace) -> Rows:
    """The receiver's rows with their variates along some orthonormal directions ``q [k, r]`` replaced."""
    write = q.T @ space.write
    return lambda part: y[part] + ((put[part] - own[part]) @ q) @ write
