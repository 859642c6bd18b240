"""Two networks compared in one call: similarity, stitching, interchange, shared features and connectivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from typing_extensions import override

from circuits.engine.arguments import require_whole
from circuits.findings import Findings, summary_html
from circuits.two_networks.comparison_parts import PARTS, Asked
from circuits.two_networks.disagreement import RULE, carried, verdict
from circuits.two_networks.feature_lists import KINDS, Kind
from circuits.two_networks.grouped_rows import grouped
from circuits.two_networks.sides import MOST, Side, last_site, sides, two_names
from circuits.two_networks.stitching import site_pairs
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.notebook import tables
from interp.report import figures
from interp.sites import layer_sites, short_name
from interp.subject import Subject

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class NetworkComparison(Findings):
    """Two networks, layer by layer, by similarity and by intervention.

    Attributes:
        names: of the networks.
        parts: by name: a table (``similarity``), `Stitching`, `Interchange`, `SharedFeatures`, `LinearConnectivity`; those that
            were asked for.
        notes: which inputs, and the rule behind ``verdict``.
    """

    names: tuple[str, str]
    parts: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """A row per pair of layers and direction.

        ``cka`` with its excess; ``stitched`` accuracy (loss without answers), its ``relative`` place between random networks'
        layers and the clean receiver; what the shared subspace ``carried`` when interchanged; and the ``verdict``.
        """
        base = self.parts.get("similarity")
        made: dict[tuple[str, str, str, str], dict[str, Any]] = {}

        def row(sender: str, receiver: str, source: str, target: str) -> dict[str, Any]:
            ids = {"sender": sender, "receiver": receiver, "site_from": source, "site_to": target}
            return made.setdefault((sender, receiver, source, target), ids)

        for sender, receiver, columns in ((0, 1, ("site_a", "site_b")), (1, 0, ("site_b", "site_a"))):
            for _, one in base.iterrows() if base is not None else ():
                own = row(self.names[sender], self.names[receiver], one[columns[0]], one[columns[1]])
                own |= {c: one[c] for c in ("cka", "cka_null", "cka_low", "cka_high", "cka_above")}
        stitching = self.parts.get("stitching")
        for one in stitching.found if stitching is not None else ():
            own = row(one["sender"], one["receiver"], one["site_from"], one["site_to"])
            own |= {"stitched": one[self.parts["stitching"].metric]} | {
                c: one[c] for c in ("explained", "relative", "beyond_random")
            }  # fmt: skip
        if (swapped := self.parts.get("interchange")) is not None:
            for (sender, receiver, target), some in grouped(swapped.rows, ["sender", "receiver", "site"]):
                keys = [k for k in made if k[:2] == (sender, receiver) and k[3] == target]
                for own in [made[k] for k in keys] or [row(str(sender), str(receiver), "", str(target))]:
                    own |= carried(some)
        return pd.DataFrame([own | {"verdict": verdict(own)} for own in made.values()])

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per measured change of every part, as every finding has it."""
        tables_of = [part.table.assign(part=name) for name, part in self.parts.items() if isinstance(part, Findings)]
        return pd.concat(tables_of, ignore_index=True) if tables_of else self.rows

    @property
    def headline(self) -> str:
        """How alike the last layers are and whether each network goes on with the other's, in words."""
        return "; ".join(text for name, text in self.summary.items() if name != "notes")

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """What each part found, in words, where similarity and stitching disagree, and notes."""
        rows, said = self.rows, {}
        if "similarity" in self.parts and len(rows):
            last = rows[rows["sender"] == self.names[0]].iloc[-1]
            said["similarity"] = (
                f"CKA {last['cka']:.2f} at {short_name(last['site_to'])} (chance {last['cka_null']:.2f} "
                f"[{last['cka_low']:.2f}, {last['cka_high']:.2f}])"
            )
        for name in ("stitching", "interchange"):
            if name in self.parts:
                own = self.parts[name].summary
                said[name] = "; ".join(f"{key}: {text}" for key, text in own.items() if key != "notes")
        if "shared_features" in self.parts:
            said["shared features"] = self.parts["shared_features"].headline
        if "connectivity" in self.parts:
            barriers = self.parts["connectivity"].barriers.set_index("matched")["barrier"]
            said["connectivity"] = f"loss barrier {barriers[False]:.3g}, {barriers[True]:.3g} once units are matched"
        if len(rows) and any(rows["verdict"]):
            against = int(rows["verdict"].str.startswith("disagree").sum())
            said["verdict"] = f"similarity and stitching disagree at {against} of {len(rows)} layers and directions"
        return {**said, "notes": "; ".join(self.notes)}

    @override
    def figure(self) -> go.Figure:
        """CKA, the stitch's relative place and what interchange carried, layer by layer; without these the first part's."""
        rows = self.rows
        shown = {"cka": "CKA", "relative": "stitching", "carried": "interchange"}
        if rows.empty or not set(shown) & set(rows):
            return next(iter(p for p in self.parts.values() if isinstance(p, Findings))).figure()
        curves = {}
        for column, name in shown.items():
            for sender in self.names if column != "cka" else self.names[:1]:
                if column in rows:
                    own = rows[rows["sender"] == sender]
                    column_of = "site_to" if sender == self.names[0] else "site_from"
                    place = [
                        short_name(site or other) for site, other in zip(own[column_of], own["site_to"], strict=True)
                    ]
                    label = name if column == "cka" else f"{name}, {sender} sends"
                    curves[label] = (place, np.asarray(own[column], dtype=float))
        drawn = figures.lines(
            curves, title="Similarity and intervention by layer", x_title="layer of the second network",
            y_title="0 as by chance, 1 whole", markers=True,
        )  # fmt: skip
        return drawn.update_layout(height=460, legend_y=-0.35)

    @override
    def _pieces(self) -> list[Any]:
        pieces: list[Any] = [summary_html(self.summary) + tables.table(self.rows), self.figure()]
        for name, part in self.parts.items():
            if isinstance(part, Findings):
                first, *others = part._pieces()
                pieces += [f"<h4>{name.replace('_', ' ')}</h4>{first}", *others]
        return pieces


def compare(
    a: Subject | HookedModel,
    b: Subject | HookedModel,
    *,
    only: str | Sequence[str] | None = None,
    sites: Sequence[tuple[str, str]] | None = None,
    kind: Kind = "units",
    inputs: InputsLike | None = None,
    ridge: float = 0.0,
    n_random: int = 5,
    draws: int = 39,
    seed: int = 0,
    n_inputs: int | None = MOST,
) -> NetworkComparison:
    """Compare two networks: how alike their layers are, and whether each can go on with what the other computed.

    Similarity is CKA beside chance (random networks, where they can be drawn), for every pair of layers of the same name; of
    networks without any, for the last hidden layers. Each pair is stitched both ways, their shared subspace is interchanged,
    the features of the last hidden layer are matched, and the line between weights is walked where both have one architecture.
    The table says where similarity and intervention disagree; see `stitch`, `interchange` and `shared_features` for what may
    mislead.

    Args:
        a: a network, with its task if it has one.
        b: another whose inputs agree.
        only: which parts: ``similarity``, ``stitching``, ``interchange``, ``shared_features``, ``connectivity``; all that apply
            by default.
        sites: pairs of hook points, one of each network.
        kind: of features, as in `shared_features`.
        inputs: as in `stitch`.
        ridge: of all maps.
        n_random: random networks and random sets.
        draws: of chance: pairs of random networks, or permutations.
        seed: of everything random.
        n_inputs: as in `stitch`.

    Returns:
        `NetworkComparison`.

    Raises:
        UnknownName: no such part, or kind of feature.
        InterpError: inputs that do not agree, or arguments of the wrong kind.
    """
    names = list(PARTS) if only is None else [only] if isinstance(only, str) else list(only)
    for name in names:
        if name not in PARTS:
            raise UnknownName(unknown("part of a comparison", name, PARTS))
    if kind not in KINDS:
        raise UnknownName(unknown("kind of feature", kind, KINDS))
    require_whole("n_random", n_random, 0, 100)
    require_whole("draws", draws, 1, 10_000)
    require_range("ridge", ridge, 0)
    found, note = sides_of(a, b, inputs, n_inputs, seed)
    notes = [note, found[1].split]
    if sites is not None and (isinstance(sites, str) or not all(len(pair) == 2 for pair in sites)):
        raise InterpError(f"sites are pairs of hook points, one of each network, such as [(site, site)], got {sites!r}")
    pairs = _pairs(found) if sites is None else [site_pairs(*found, one, other)[0] for one, other in sites]
    asked = Asked(found, pairs, kind, ridge, n_random, draws, seed, inputs, n_inputs)
    parts = {}
    for name in (part for part in PARTS if part in names):
        try:
            parts[name] = PARTS[name](asked)
        except InterpError as reason:  # of all parts, the line may not exist; asked for by name, it must
            if only is not None or name != "connectivity":
                raise
            notes.append(f"no line between their weights was walked: {reason}")
    notes += asked.notes
    notes += [RULE] if {"similarity", "stitching"} <= set(names) else []
    return NetworkComparison((found[0].name, found[1].name), parts, tuple(dict.fromkeys(notes)))


def sides_of(
    a: Subject | HookedModel, b: Subject | HookedModel, inputs: InputsLike | None, n_inputs: int | None, seed: int
) -> tuple[tuple[Side, Side], str]:
    """Two networks on the inputs that both take, and what these are."""
    found, note = sides(two_names(a, b), inputs, n_inputs, seed)
    first, second = found.values()
    return (first, second), note


def _pairs(two: tuple[Side, Side]) -> list[tuple[str, str]]:
    """The layers that both have by the same name; otherwise their last hidden layers."""
    first, second = two
    known = [n for n in layer_sites(first.subject.model) if not n.endswith("hook_input")]
    same = [n for n in sorted(known, key=_depth) if n in second.subject.model.hook_dict]
    return [(n, n) for n in same] or [(last_site(first, None), last_site(second, None))]


def _depth(site: str) -> tuple[int, int]:
    """Where in the network a layer lies: by its number, and within a block the stream before the MLP, its units, the stream."""
    number = next((int(part) for part in site.split(".") if part.isdigit()), 0)
    return number, 0 if site.endswith("hook_resid_mid") else 2 if site.endswith("hook_resid_post") else 1
