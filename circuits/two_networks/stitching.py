"""Stitching: a layer of one network put into another by an affine map, and what the other still does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from circuits.engine.arguments import require_whole
from circuits.two_networks.affine_map import AffineMap, explained
from circuits.two_networks.receiver import Receiver, Rows, constant
from circuits.two_networks.sides import MOST, Side, last_site, sides, two_names
from circuits.two_networks.stitching_result import Stitching
from circuits.weight_sweeps.null_models import random_network
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.sites import hidden_sites
from interp.subject import Subject
from probes.input_rows import input_rows
from probes.similarity.products import products

Direction = Literal["both", "a_to_b", "b_to_a"]
DIRECTIONS: dict[str, tuple[tuple[int, int], ...]] = {
    "both": ((0, 1), (1, 0)),
    "a_to_b": ((0, 1),),
    "b_to_a": ((1, 0),),
}


def stitch(
    a: Subject | HookedModel,
    b: Subject | HookedModel,
    site: str | None = None,
    site_b: str | None = None,
    *,
    inputs: InputsLike | None = None,
    ridge: float = 0.0,
    n_random: int = 5,
    seed: int = 0,
    direction: Direction = "both",
    n_inputs: int | None = MOST,
) -> Stitching:
    """Stitch a layer of one network into another: does the other go on with what the one has computed?

    An affine map ``A x + c`` is fitted by least squares from the sender's activation to the receiver's, on the receiver's train
    examples (where there is no split: a random half of the inputs). The receiver then runs on from the mapped activation of its
    test examples. Beside it stand the clean networks, the same with layers of random networks of the sender's architecture, and
    with the activation's mean for every input. Where positions are read at a readout, only that position is stitched.

    Misleads where the map does the work: a wide layer of a random network can be mapped onto much, so that only what is above
    the random networks counts. And where there are not many more fitting inputs than features, use a ridge or a narrower site.

    Args:
        a: a network, with its task if it has one.
        b: another, of any architecture, whose inputs agree.
        site: of ``a``; the last hidden layer by default. ``"all"``: every pair of hidden layers.
        site_b: of ``b``; as ``site`` where ``b`` has it, otherwise its last hidden layer.
        inputs: ``[n, ...]`` for both; by default what both have (`probes.common_inputs.common_inputs`).
        ridge: added to the covariance's diagonal, as a share of its mean.
        n_random: random networks in the sender's place; a wrapped module has none.
        seed: of the random networks, of the draw of inputs, and of the halves.
        direction: ``a_to_b``: a sends, b receives; ``b_to_a``; ``both``.
        n_inputs: at most so many; None: all.

    Returns:
        `Stitching`: a row per sender, receiver and pair of sites.

    Raises:
        UnknownName: no such direction.
        InterpError: inputs that do not agree, or arguments of the wrong kind.
        UnknownSite: a network has no such site.

    Lenc and Vedaldi 2015, Understanding image representations by measuring their equivariance and equivalence,
    https://arxiv.org/abs/1411.5908; Bansal et al. 2021, Revisiting model stitching to compare neural representations,
    https://arxiv.org/abs/2106.07682.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> subject = interp.Subject("mlp", model, interp.ModularArithmetic(5, train_fraction=0.6).fit(model))
    >>> row = stitch(subject, subject, n_random=1, direction="a_to_b").rows.iloc[0]
    >>> bool(abs(row["loss"] - row["clean_loss"]) < 1e-8)
    True
    """
    require_whole("n_random", n_random, 0, 100)
    require_range("ridge", ridge, 0)
    if direction not in DIRECTIONS:
        raise UnknownName(unknown("direction", direction, DIRECTIONS))
    found, note = sides(two_names(a, b), inputs, n_inputs, seed)
    first, second = found.values()
    pairs = site_pairs(first, second, site, site_b)
    return stitched_both_ways(
        (first, second), pairs, DIRECTIONS[direction], ridge=ridge, n_random=n_random, seed=seed, notes=[note]
    )


def stitched_both_ways(
    two: tuple[Side, Side], pairs: Sequence[tuple[str, str]], ways: Sequence[tuple[int, int]] = DIRECTIONS["both"], *,
    ridge: float, n_random: int, seed: int, notes: Sequence[str] = (),
) -> Stitching:  # fmt: skip
    """Stitch pairs of sites of two networks.

    Args:
        two: the networks.
        pairs: of a site of the first and one of the second.
        ways: which of the two sends and which receives.
        ridge: as in `stitch`.
        n_random: as in `stitch`.
        seed: of the random networks.
        notes: that come first.

    Returns:
        as `stitch`.
    """
    rows, maps, said = [], {}, list(notes)
    for sender, receiver in ways:
        asked = [pair if sender == 0 else (pair[1], pair[0]) for pair in pairs]
        sent = Sent.of(two[sender], [s for s, _ in asked], n_random, seed)
        made = stitches(sent, two[receiver], asked, ridge=ridge)
        rows += made.rows
        maps |= made.maps
        said += [n for n in made.notes if n not in said]
    return Stitching(rows, maps, {s.name: s.loss_name for s in two}, tuple(said), all(s.answers for s in two))


@dataclass(frozen=True, eq=False)
class Made:
    """Stitches from one network into another.

    Attributes:
        rows: as in `Stitching`, a dict each.
        maps: by (sender, site, receiver, site).
        notes: what a reader must know.
    """

    rows: list[dict[str, Any]]
    maps: dict[tuple[str, str, str, str], AffineMap] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Sent:
    """What a network sends: its activations, and those of random networks of its architecture.

    Attributes:
        side: the network.
        own: by site ``[n, d]``, in float64.
        random: the same of each random network.
        notes: why there are none.
    """

    side: Side
    own: Mapping[str, Tensor]
    random: Sequence[Mapping[str, Tensor]]
    notes: list[str]

    @classmethod
    def of(cls, side: Side, sites: Sequence[str], n_random: int, seed: int) -> Sent:
        """The activations of a side at some sites.

        Args:
            side: the network on its inputs.
            sites: exact names.
            n_random: random networks.
            seed: of their weights.

        Returns:
            its activations.
        """
        wanted = list(dict.fromkeys(sites))
        own = {site: side.rows(site).double() for site in wanted}
        if n_random and side.subject.model.config.kind == "wrapped":
            return cls(side, own, [], [f"{side.name}: a wrapped module has no random networks of its architecture"])
        subject, found = side.subject, []
        for i in range(n_random):
            other = Subject(
                "random", random_network(subject.model, seed + i), subject.task, precision=subject.precision
            )
            found.append({k: v.double() for k, v in input_rows(other, side.evaluation.inputs, wanted).items()})
        return cls(side, own, found, [])


def stitches(sent: Sent, receiver: Side, pairs: Sequence[tuple[str, str]], *, ridge: float = 0.0) -> Made:
    """All stitches of some pairs of sites; those into one site run on as one batch.

    Args:
        sent: the layers that are put into the receiver.
        receiver: runs on from them.
        pairs: of a site of the sender and one of the receiver.
        ridge: as in `stitch`.

    Returns:
        a row per pair.
    """
    made = Made([], notes=[*sent.notes, receiver.split])
    by_site: dict[str, list[str]] = {}
    for s, r in pairs:
        by_site.setdefault(r, []).append(s)
    for site, senders in by_site.items():
        _into_one(sent, Receiver.of(receiver, site), senders, ridge, made)
    return made


def _into_one(sent: Sent, into: Receiver, senders: Sequence[str], ridge: float, made: Made) -> None:
    sender, receiver = sent.side, into.side
    y = into.rows.double()
    fit, judged = receiver.fit.to(y.device), receiver.judged.to(y.device)
    mean = y[fit].mean(0)
    changes, shares = [constant(mean)], []
    for s in senders:
        for i, rows in enumerate((sent.own[s], *(r[s] for r in sent.random))):
            x = rows.to(y.device)
            fitted = AffineMap.fitted(products(x[fit], y[fit]), ridge)
            if i == 0:
                made.maps[sender.name, s, receiver.name, into.site] = fitted
                _warn(made.notes, x.shape[1], len(fit), s, ridge)
            changes.append(_mapped(fitted, x))
            shares.append(explained(y[judged], fitted(x[judged]), mean))
    scores = receiver.scores(into.measured(changes))
    clean, theirs, per = receiver.judge(receiver.clean), _of_sender(sender, receiver), 1 + len(sent.random)
    for i, s in enumerate(senders):
        first, *others = scores[1 + i * per : 1 + (i + 1) * per]
        row: dict[str, Any] = {
            "sender": sender.name, "receiver": receiver.name, "site_from": s, "site_to": into.site,
            "explained": shares[i * per], "loss": first["loss"], "accuracy": first["accuracy"],
            "clean_loss": clean["loss"], "clean_accuracy": clean["accuracy"],
            "sender_loss": theirs["loss"], "sender_accuracy": theirs["accuracy"],
            "constant_loss": scores[0]["loss"], "constant_accuracy": scores[0]["accuracy"],
        }  # fmt: skip
        for name in ("loss", "accuracy"):
            values = torch.tensor([o[name] for o in others], dtype=torch.float64)
            row |= {f"random_{name}": float(values.mean()) if len(values) else float("nan"),
                    f"random_{name}_low": float(values.min()) if len(values) else float("nan"),
                    f"random_{name}_high": float(values.max()) if len(values) else float("nan")}  # fmt: skip
        drawn = shares[i * per + 1 : (i + 1) * per]
        row["random_explained"] = sum(drawn) / len(drawn) if drawn else float("nan")
        made.rows.append(row | _relative(row, receiver.answers))


def _relative(row: Mapping[str, float], answers: bool) -> dict[str, Any]:
    """How far from the random networks' stitches to the clean receiver a stitch gets, and whether beyond all of them."""
    name = "accuracy" if answers else "loss"
    stitched, clean, random = row[name], row[f"clean_{name}"], row[f"random_{name}"]
    worst, best = row[f"random_{name}_low"], row[f"random_{name}_high"]
    gap = clean - random
    clear = abs(gap) > (0.01 if answers else 1e-12)
    beyond = None if random != random else stitched > best if answers else stitched < worst
    return {"relative": (stitched - random) / gap if clear else float("nan"), "beyond_random": beyond}


def _mapped(fitted: AffineMap, x: Tensor) -> Rows:
    return lambda part: fitted(x[part])


def _warn(notes: list[str], width: int, n: int, site: str, ridge: float) -> None:
    if n < 2 * width and not ridge:
        note = (
            f"{site}: the map has {width} inputs and is fitted on {n} examples; with fewer than twice as many it fits noise "
            "(give ridge=0.01, or a narrower site)"
        )
        notes += [note] if note not in notes else []


def _of_sender(sender: Side, receiver: Side) -> dict[str, float]:
    """The sender's own scores on the inputs on which the receiver is judged."""
    if sender.clean.shape != receiver.clean.shape:
        return {"loss": float("nan"), "accuracy": float("nan")}
    return receiver.judge(sender.clean)


def site_pairs(first: Side, second: Side, site: str | None, site_b: str | None) -> list[tuple[str, str]]:
    """Which sites of two networks are put together.

    Args:
        first: a network.
        second: another.
        site: of the first; ``"all"``: all hidden layers of both, each with each.
        site_b: of the second.

    Returns:
        pairs of exact names.

    Raises:
        InterpError: ``site="all"`` with a ``site_b``, or a network without hidden layers.
        UnknownSite: no such site.
    """
    if site == "all":
        if site_b is not None:
            raise InterpError("site='all' puts every hidden layer with every other: leave out site_b")
        layers = [hidden_sites(s.subject.model) or [last_site(s, None)] for s in (first, second)]
        return [(one, other) for one in layers[0] for other in layers[1]]
    one = last_site(first, site)
    same = one if site is not None and one in second.subject.model.hook_dict else None
    return [(one, last_site(second, site_b or same))]
