"""Restricted and excluded loss of a network, and the loss with and without each single frequency."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from circuits.fourier.definitions import Definition, project
from circuits.fourier.modes import Modes
from circuits.fourier.table import Loss, Table
from interp.hooked.base import HookedModel
from interp.subject import Subject


def restricted_loss(
    subject: Subject | HookedModel, frequencies: Sequence[int] | None = None, definition: Definition = "nanda2d"
) -> Loss:
    """Restricted loss: the loss with the key frequencies of the logits only.

    Low where the network works by these frequencies (Nanda et al. 2023, Progress measures for grokking via mechanistic
    interpretability, https://arxiv.org/abs/2301.05217).

    Args:
        subject: of a task that is addition modulo n, perhaps in disguise.
        frequencies: that are kept, from 1 to n // 2; the network's key frequencies by default.
        definition: ``nanda2d``, ``logit`` or ``hidden`` (see `circuits.fourier.definitions`); their numbers differ.

    Returns:
        `Loss`: mean loss over all, train and test examples, and the number of correct answers.

    Raises:
        MissingCapability: the task is not addition modulo n.
        UnknownName: another definition.
        InterpError: a frequency outside 1..n // 2, or ``hidden`` on a network without hidden units.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> loss = restricted_loss(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)), [1, 2])
    >>> loss.total
    25
    """
    return project(Table(subject), frequencies, definition, keep=True)


def excluded_loss(
    subject: Subject | HookedModel, frequencies: Sequence[int] | None = None, definition: Definition = "nanda2d"
) -> Loss:
    """Excluded loss: the loss without the key frequencies of the logits.

    High where the network works by these frequencies; on the train examples it shows what memorisation still contributes
    (Nanda et al. 2023, https://arxiv.org/abs/2301.05217).

    Args:
        subject: of a task that is addition modulo n, perhaps in disguise.
        frequencies: that are removed, from 1 to n // 2; the network's key frequencies by default.
        definition: ``nanda2d``, ``logit`` or ``hidden`` (see `circuits.fourier.definitions`); their numbers differ.

    Returns:
        `Loss`: mean loss over all, train and test examples, and the number of correct answers.

    Raises:
        MissingCapability: the task is not addition modulo n.
        UnknownName: another definition.
        InterpError: a frequency outside 1..n // 2, or ``hidden`` on a network without hidden units.
    """
    return project(Table(subject), frequencies, definition, keep=False)


def by_frequency(subject: Subject | HookedModel | Table) -> pd.DataFrame:
    """For every frequency: the loss without it in the logits, and with it only (``nanda2d``).

    Args:
        subject: of a task that is addition modulo n; or its `Table`, where one is at hand.

    Returns:
        ``frequency, key, loss_without, correct_without, loss_alone, correct_alone``, a row per frequency; losses are means over
        all inputs, ``key`` marks the network's key frequencies.

    Raises:
        MissingCapability: the task is not addition modulo n.
    """
    table = subject if isinstance(subject, Table) else Table(subject)
    every = list(range(1, table.n // 2 + 1))
    modes = Modes.of(table, [[k] for k in every])
    without, alone = modes.scores(keep=False), modes.scores(keep=True)
    return pd.DataFrame({
        "frequency": every, "key": [k in table.keys for k in every],
        "loss_without": [loss.all for loss in without], "correct_without": [loss.correct for loss in without],
        "loss_alone": [loss.all for loss in alone], "correct_alone": [loss.correct for loss in alone],
    })  # fmt: skip
