"""Frequencies removed from the embedding, the hidden layer and the logits, against random frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from circuits.fourier.definitions import project
from circuits.fourier.table import Table
from interp.errors import require_range
from interp.hooked.base import HookedModel
from interp.sites import hidden_sites
from interp.subject import Subject, table_logits
from probes import fourier


def without_in_embedding(subject: Subject, frequencies: Sequence[int]) -> HookedModel:
    """A copy of the model with some frequencies removed from the embeddings of its operands.

    Args:
        subject: of a task that is addition modulo n.
        frequencies: from 1 to n // 2.

    Returns:
        the changed copy; embeddings of other symbols (such as ``=``) are unchanged.
    """
    structure, model = subject.require_cyclic(), subject.model
    modes = fourier.frequency_basis(structure.order, list(frequencies))
    embedding = next(n for n, _ in model.named_parameters() if n.endswith("W_E"))
    weights = dict(model.state_dict())
    stacked = weights[embedding].unsqueeze(0) if weights[embedding].ndim == 2 else weights[embedding]
    stacked = stacked.clone()
    for i, exponents in zip(range(len(stacked)), (structure.left, structure.right), strict=False):
        rows = torch.nonzero(exponents >= 0).squeeze(1)
        rows = rows[exponents[rows].argsort()].to(stacked.device)
        stacked[i, rows] = modes.remove(stacked[i, rows].T).T
    weights[embedding] = stacked.reshape(weights[embedding].shape)
    return type(model).from_weights(model.config, weights).to(model.device)


def remove_everywhere(table: Table, frequencies: Sequence[int], n_random: int = 8, seed: int = 0) -> pd.DataFrame:
    """Remove a set of frequencies from the embedding, the hidden layer and the logits; then random sets of the same size.

    Args:
        table: the network's logits.
        frequencies: from 1 to n // 2.
        n_random: random sets, drawn from the frequencies outside ``frequencies``; of equal draws one is kept.
        seed: of the random sets.

    Returns:
        ``where, removed, frequencies, loss, correct``: a row per place and set; ``removed`` is ``key`` or ``random``.

    Raises:
        InterpError: a frequency outside 1..n // 2, or a negative ``n_random``.
    """
    fourier.check_frequencies(frequencies, table.n)
    require_range("n_random", n_random, 0)
    others = [k for k in range(1, table.n // 2 + 1) if k not in frequencies]
    generator = torch.Generator().manual_seed(seed)
    sets = [("key", list(frequencies))]
    if len(others) >= len(frequencies) > 0:
        draws = (torch.randperm(len(others), generator=generator)[: len(frequencies)] for _ in range(n_random))
        different = dict.fromkeys(tuple(sorted(others[i] for i in draw.tolist())) for draw in draws)
        sets += [("random", list(draw)) for draw in different]
    has_hidden = bool(hidden_sites(table.subject.model))
    rows = []
    for label, chosen in sets:
        logits = table_logits(without_in_embedding(table.subject, chosen), table.task).double()
        losses = {"embedding": table.score(logits[table.rows.to(logits.device)])}
        if has_hidden:
            losses["neurons"] = project(table, chosen, "hidden", keep=False)
        losses["logits"] = project(table, chosen, "nanda2d", keep=False)
        names = " ".join(map(str, chosen))
        rows += [
            {"where": where, "removed": label, "frequencies": names, "loss": loss.all, "correct": loss.correct}
            for where, loss in losses.items()
        ]
    return pd.DataFrame(rows)
