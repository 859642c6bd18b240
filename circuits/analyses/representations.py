"""The analysis ``representations``: what a network that composes the elements of a group computes with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from circuits.analyses import parts_of_logits as shared
from circuits.claims.modes import necessary_claims, representation_claims, sufficient_claims
from circuits.fourier.definitions import OF_LAYER, Definition, project
from circuits.fourier.losses import by_frequency
from circuits.fourier.removal import remove_everywhere
from circuits.fourier.table import Loss, Table
from interp.errors import InterpError, MissingCapability, require_range
from interp.plugins.analysis import Result, analysis
from interp.plugins.claim import Claim
from interp.plugins.result import format_metric, format_share
from interp.report import figures
from interp.sites import hidden_sites
from interp.subject import Subject
from probes import group_tables
from probes import representations as modes
from probes.claims.modes import neuron_claims
from probes.claims.oddities import dead_claims
from probes.neurons import active

TUNED = 0.85  # as for frequencies: a neuron that one representation explains to this share
SHOWN = 512  # neurons in the heat map


@analysis(
    "representations",
    needs=("activations", "group", "input_table"),
    summary="Which irreducible representations the network computes with",
    order=51,
    question="represents",
)
def representations(
    subject: Subject, *, definition: Definition = "logit", n_random: int = 8, tuned: float = TUNED
) -> Result:
    """Irreducible representations of the group in embeddings, neurons and logits; restricted and excluded loss.

    Chughtai et al. 2023, A Toy Model of Universality, https://arxiv.org/abs/2302.03025.

    Args:
        subject: of a task that is composition in a finite group that is not cyclic.
        definition: of ``restricted_loss`` and ``excluded_loss``; the table lists all four.
        n_random: random sets of other representations that are removed for comparison.
        tuned: share of its variance from which a neuron counts as tuned to one representation.

    Returns:
        the key representations, losses by definition and by representation, neurons by representation.

    Raises:
        MissingCapability: the group is cyclic: the analyses of Fourier modes describe it.
        InterpError: ``hidden`` or ``neurons`` on a network without hidden units; an option out of its range.
    """
    require_range("n_random", n_random, 0)
    require_range("tuned", tuned, 0, 1)
    table = Table(subject)
    if table.cyclic:
        raise MissingCapability(
            f"the group is Z_{table.n}, whose irreducible representations are Fourier modes: see fourier, frequencies and neurons"
        )
    if definition in OF_LAYER and not hidden_sites(subject.model):
        raise InterpError(f"definition={definition!r} does not apply to a network without hidden units")
    clean, single = table.score(table.logits), by_frequency(table)
    result = Result(_spectra(table))
    result.tables["representations"] = _frame(table, single, clean)
    _draw_spectra(result, table)
    _add_neurons(result, table, tuned)
    result.notes = _notes(table)
    result.claims = _claims(result, table)
    if not table.keys:
        result.metrics |= {"restricted_loss": None, "excluded_loss": None}
        result.headline = "No representation stands out in the logits, so there is none to keep or remove"
        return result
    _add_losses(result, table, clean, single, definition, n_random)
    result.claims += _loss_claims(result, table, clean)
    named = ", ".join(map(str, table.keys))
    result.headline = f"Key representations {named}. {shared.headline(result.metrics, clean, table, 'representations')}"
    result.verdict = [
        ("key representations", format_metric(list(table.keys))),
        ("logits explained by them", format_share(result.metrics["logit_variance_explained_by_key"])),
        ("restricted loss", format_metric(result.metrics["restricted_loss"])),
        ("excluded loss", format_metric(result.metrics["excluded_loss"])),
    ]
    return result


TOPIC = "it computes with irreducible representations"


def _claims(result: Result, table: Table) -> list[Claim]:
    """That few representations make the logits, that embeddings hold them, that neurons compute with them."""
    keys, frame, group = [str(k) for k in table.keys], result.tables["representations"], table.group
    key_rows = frame["representation"].isin(keys)
    held = {
        str(c).removesuffix(" share"): float(frame.loc[key_rows, c].sum()) for c in frame if str(c).startswith("W_E")
    }
    flat = float((frame.loc[key_rows, "degree"] ** 2).sum() / (frame["degree"] ** 2).sum())
    explained = result.metrics["logit_variance_explained_by_key"]
    claims = representation_claims(keys, explained, held, flat, len(group) - 1, TOPIC, "logit spectrum")
    if "active" in result.metrics:
        m = result.metrics
        found = m["preferring_a_key_representation"], m["active"], m["median_share"], len(keys), len(group) - 1
        figure = "neurons by representation" if "neurons by representation" in result.figures else None
        claims += neuron_claims(*found, figure=figure, topic=TOPIC, noun="representation")
        claims += dead_claims(m["active"], m["units"])
    return claims


def _loss_claims(result: Result, table: Table, clean: Loss) -> list[Claim]:
    """That the key representations suffice and are necessary."""
    sets, m = result.tables["removed"], result.metrics
    constant, solved = shared.least(table, clean)
    losses, answer = (m["restricted_loss"], clean.all), ", ".join(sorted(map(str, table.keys)))
    return [
        *sufficient_claims(
            "representations", TOPIC, answer, m["restricted_correct"], clean.correct, clean.total, losses, constant,
            solved, "each alone",
        ),
        *necessary_claims(sets, "representations", TOPIC, clean.correct, constant, solved, "removed sets"),
    ]  # fmt: skip


def _spectra(table: Table) -> dict[str, Any]:
    """Metrics of the group and of the logits."""
    shares, rows = modes.logit_shares(table.cube, table.group), table.group.indices([str(k) for k in table.keys])
    return {
        "key_representations": list(table.keys),
        "group_order": table.n,
        "representations": len(table.group),
        "logit_variance_explained": float(shares.on_product.sum()),
        "logit_variance_explained_by_key": float(shares.on_product[rows].sum()),
        "logit_variance_on_characters": float(shares.on_character.sum()),
    }


def _embeddings(table: Table) -> dict[str, Tensor]:
    """Share of each embedding's non-constant power by representation."""
    found = group_tables.embedding_tables(table.subject)
    return {name: modes.shares(table.group.power(values)) for name, values in found.items()}


def _frame(table: Table, single: pd.DataFrame, clean: Loss) -> pd.DataFrame:
    """One row per representation but the trivial one: its shares, and the losses with and without it."""
    group, shares = table.group, modes.logit_shares(table.cube, table.group)
    frame = pd.DataFrame({
        "representation": group.names[1:], "degree": group.dims[1:], "kind": group.kinds[1:], "key": single["key"]
    })  # fmt: skip
    for name, share in _embeddings(table).items():
        frame[f"{name} share"] = share[1:].cpu().numpy()
    frame["logits on a*b"] = shares.on_product[1:].cpu().numpy()
    frame["logits on a*b*c^-1"] = shares.on_quotient[1:].cpu().numpy()
    frame["logits on the character"] = shares.on_character[1:].cpu().numpy()
    frame["loss without"], frame["loss alone"] = single["loss_without"], single["loss_alone"]
    frame["times the clean loss without"] = single["loss_without"] / clean.all if clean.all else float("nan")
    of_each: tuple[Definition, ...] = ("logit", "hidden") if hidden_sites(table.subject.model) else ("logit",)
    for definition in of_each:
        kept = [project(table, [name], definition, keep=True) for name in group.names[1:]]
        removed = [project(table, [name], definition, keep=False) for name in group.names[1:]]
        frame[f"{definition} restricted loss"] = [loss.all for loss in kept]
        frame[f"{definition} excluded loss (train)"] = [loss.train for loss in removed]
    return frame.sort_values("logits on a*b*c^-1", ascending=False, ignore_index=True)


def _add_losses(
    result: Result, table: Table, clean: Loss, single: pd.DataFrame, definition: Definition, n_random: int
) -> None:
    """Losses of the key representations together, by definition, and what their removal costs."""
    losses, sets = shared.by_definition(table), remove_everywhere(table, table.keys, n_random)
    result.tables |= {"definitions": shared.as_table(losses), "removed": sets}
    result.metrics |= {"definition": definition, "clean_loss": clean.all, **shared.of_definition(losses, definition)}
    for (name, what), loss in losses.items():
        result.metrics[f"{what}_loss_{name}"] = loss.all
        if what == "excluded":
            result.metrics[f"{what}_loss_{name}_train"] = loss.train
    for name, is_key, extreme in (
        ("least_loss_ratio_without_a_key", True, min),
        ("most_loss_ratio_without_another", False, max),
    ):
        found = single.loc[single["key"] == is_key, "loss_without"].to_list()
        result.metrics[name] = extreme(found) / clean.all if found and clean.all else None
    result.metrics |= shared.without(sets)
    result.figures |= shared.draw(single, sets, clean.all, table.keys)


def _draw_spectra(result: Result, table: Table) -> None:
    frame, keys = result.tables["representations"], list(table.keys)
    order = list(table.parts)
    by_name = frame.set_index("representation").loc[order]
    result.figures["logit spectrum"] = figures.bars(
        order, by_name["logits on a*b*c^-1"], highlight=keys, log=True, x_title="representation", y_title="share (log)",
        title="Logits: share of variance on functions of a*b*c^-1 (key representations orange)",
    )  # fmt: skip
    for column in [c for c in frame if str(c).endswith(" share")]:
        name = str(column).removesuffix(" share")
        result.figures[f"spectrum {name}"] = figures.bars(
            order, by_name[column], highlight=keys, title=f"Power of {name} by representation (key ones orange)",
            x_title="representation", y_title="share of non-constant power",
        )  # fmt: skip
    result.lead = "logit spectrum"


def _add_neurons(result: Result, table: Table, tuned: float) -> None:
    """Every neuron's representation, as a table and, of the last layer, as a heat map."""
    sites = hidden_sites(table.subject.model)
    shares = {}
    for site in sites:
        values = group_tables.neuron_table(table.subject, site).flatten(2)
        shares[site] = (modes.neuron_shares(values, table.group).cpu(), active(values.flatten(0, 1)).cpu())
    if not sites:
        return
    frame = pd.concat([_layer(site, share, alive, table) for site, (share, alive) in shares.items()], ignore_index=True)
    share, kind = frame.loc[frame["active"], "share"].to_numpy(), frame.loc[frame["active"], "representation"].to_list()
    result.tables["neurons"] = frame
    result.metrics |= {
        "units": len(frame), "active": len(kind), "tuned": int((share >= tuned).sum()),
        "preferring_a_key_representation": sum(name in table.keys for name in kind),
        "median_share": float(np.median(share)) if len(kind) else None,
    }  # fmt: skip
    last, alive = shares[sites[-1]]
    _draw_neurons(result, last[1:, alive], list(table.group.names[1:]))


def _layer(site: str, share: Tensor, alive: Tensor, table: Table) -> pd.DataFrame:
    """One row per unit of a layer: whether it is active, its representation and the share of variance explained."""
    names, (most, which) = table.group.names, share.max(0)
    return pd.DataFrame({
        "site": site, "unit": range(share.shape[1]), "active": alive.numpy(),
        "representation": [names[int(i)] if on else "" for i, on in zip(which, alive, strict=True)], "share": most.numpy(),
    })  # fmt: skip


def _draw_neurons(result: Result, share: Tensor, names: list[str]) -> None:
    if not share.shape[1]:
        return
    most, which = share.max(0)
    order = sorted(range(share.shape[1]), key=lambda i: (int(which[i]), -float(most[i])))
    if len(order) > SHOWN:  # evenly many of each kind
        order = [order[i] for i in torch.linspace(0, len(order) - 1, SHOWN).round().int().tolist()]
    result.figures["neurons by representation"] = figures.heatmap(
        share[:, order].numpy(), y=names, unit="share", height=max(340, 18 * len(names) + 120),
        title="Last hidden layer: share of each neuron's variance by representation",
        x_title="active neurons, sorted by representation", y_title="representation",
    )  # fmt: skip


def _notes(table: Table) -> list[str]:
    notes = [
        "The key representations are those above the first drop to a 20th of the logits' shares on functions of a*b*c^-1 (in "
        "units of white noise) below which the network keeps nine in ten of its right answers without the rest. 'times the "
        "clean loss without' says how much each is needed.",
        "A neuron's share of a representation is that of functions of a, of b and of a*b in it.",
        "The definitions of restricted and excluded loss differ: functions of a*b per output (nanda2d), the character alone "
        "(logit), the hidden layer alone (hidden) or in its place (neurons).",
    ]
    pairs = [name for name, kind in zip(table.group.names, table.group.kinds, strict=True) if kind == "complex"]
    if pairs:
        notes.append(f"Pairs of complex-conjugate representations count as one: {', '.join(pairs)}.")
    return notes
