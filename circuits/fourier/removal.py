"""Frequencies or representations removed from the embedding, the hidden layer and the logits, against random others."""

from __future__ import annotations

import pandas as pd
import torch

from circuits.fourier.definitions import project
from circuits.fourier.modes import Modes
from circuits.fourier.table import Parts, Table
from interp.errors import require_range
from interp.hooked.base import HookedModel
from interp.sites import hidden_sites
from interp.subject import Subject, table_logits


def without_in_embedding(subject: Subject | Table, frequencies: Parts) -> HookedModel:
    """A copy of the model with some frequencies, or representations, removed from the embeddings of its operands.

    Args:
        subject: of a task that is composition in a finite group, or its `Table`.
        frequencies: from 1 to n // 2, or names of representations.

    Returns:
        the changed copy; embeddings of other symbols (such as ``=``) are unchanged.
    """
    table = subject if isinstance(subject, Table) else Table(subject)
    structure, model = table.subject.require_group(), table.subject.model
    embedding = next(n for n, _ in model.named_parameters() if n.endswith("W_E"))
    weights = dict(model.state_dict())
    stacked = weights[embedding].unsqueeze(0) if weights[embedding].ndim == 2 else weights[embedding]
    stacked = stacked.clone()
    remove = torch.eye(table.n).to(stacked) - table.projection(table.chosen(frequencies)).to(stacked)
    for i, elements in zip(range(len(stacked)), (structure.left, structure.right), strict=False):
        rows = torch.nonzero(elements >= 0).squeeze(1)
        rows = rows[elements[rows].argsort()].to(stacked.device)
        stacked[i, rows] = remove @ stacked[i, rows]
    weights[embedding] = stacked.reshape(weights[embedding].shape)
    return type(model).from_weights(model.config, weights).to(model.device)


def remove_everywhere(table: Table, frequencies: Parts, n_random: int = 8, seed: int = 0) -> pd.DataFrame:
    """Remove a set of frequencies (or representations) from the embedding, the hidden layer and the logits; then random sets.

    Args:
        table: the network's logits.
        frequencies: from 1 to n // 2, or names of representations.
        n_random: random sets of the same size (at most as many as there are others), drawn from those outside ``frequencies``; of
            equal draws one is kept.
        seed: of the random sets.

    Returns:
        ``where, removed, frequencies, loss, correct``: a row per place and set; ``removed`` is ``key`` or ``random``. Of a group
        that is not cyclic, ``representations`` in place of ``frequencies``.

    Raises:
        InterpError: a frequency outside 1..n // 2, a representation that the group does not have, or a negative ``n_random``.
    """
    chosen = list(table.chosen(frequencies))
    require_range("n_random", n_random, 0)
    others = [k for k in table.parts if k not in chosen]
    generator = torch.Generator().manual_seed(seed)
    sets: list[tuple[str, Parts]] = [("key", chosen)]
    if len(others) >= len(chosen) > 0 or (others and chosen and not table.cyclic):
        draws = (torch.randperm(len(others), generator=generator)[: len(chosen)].sort().values for _ in range(n_random))
        different = dict.fromkeys(tuple(draw.tolist()) for draw in draws)
        sets += [("random", [others[i] for i in draw]) for draw in different]
    has_hidden = bool(hidden_sites(table.subject.model))
    plural = "frequencies" if table.cyclic else "representations"
    of_logits = Modes.of(table, [parts for _, parts in sets]).scores(keep=False)  # as definition nanda2d
    rows = []
    for (label, parts), without in zip(sets, of_logits, strict=True):
        losses = {}
        if any(n.endswith("W_E") for n, _ in table.subject.model.named_parameters()):
            logits = table_logits(without_in_embedding(table, parts), table.task).double()
            losses["embedding"] = table.score(logits[table.rows.to(logits.device)])
        if has_hidden:
            losses["neurons"] = project(table, parts, "neurons", keep=False)
        losses["logits"] = without
        names = " ".join(map(str, parts))
        rows += [
            {"where": where, "removed": label, plural: names, "loss": loss.all, "correct": loss.correct}
            for where, loss in losses.items()
        ]
    return pd.DataFrame(rows)
