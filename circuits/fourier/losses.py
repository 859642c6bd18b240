"""Restricted and excluded loss of a network, and the loss with and without each single frequency or representation."""

from __future__ import annotations

import pandas as pd

from circuits.fourier.definitions import Definition, project
from circuits.fourier.modes import Modes
from circuits.fourier.table import Loss, Parts, Table
from interp.hooked.base import HookedModel
from interp.subject import Subject


def restricted_loss(
    subject: Subject | HookedModel, frequencies: Parts | None = None, definition: Definition | None = None
) -> Loss:
    """Restricted loss: the loss with the key frequencies, or the key representations, of the logits only.

    Low where the network works by these (Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability,
    https://arxiv.org/abs/2301.05217; for other groups Chughtai et al. 2023, https://arxiv.org/abs/2302.03025).

    Args:
        subject: of a task that is composition in a finite group, perhaps in disguise; addition modulo n is one.
        frequencies: that are kept: in Z_n from 1 to n // 2 or ``freq_k``, in any other group representations by name, such as
            ``["sign", "standard"]``; the network's key ones by default.
        definition: ``nanda2d`` (the default in Z_n), ``logit`` (the default in other groups), ``hidden`` or ``neurons`` (see
            `circuits.fourier.definitions`); their numbers differ.

    Returns:
        `Loss`: mean loss over all, train and test examples, and the number of correct answers.

    Raises:
        MissingCapability: the task is not composition in a finite group.
        UnknownName: another definition, or a representation that the group does not have.
        InterpError: a frequency outside 1..n // 2, or a definition by the hidden layer on a network without one.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 6, d_vocab=6, d_embed=4)).init_weights(seed=0)
    >>> subject = interp.Subject("mlp", model, interp.GroupComposition("S_3").fit(model))
    >>> restricted_loss(subject, ["standard"]).total
    36
    """
    return project(Table(subject), frequencies, definition, keep=True)


def excluded_loss(
    subject: Subject | HookedModel, frequencies: Parts | None = None, definition: Definition | None = None
) -> Loss:
    """Excluded loss: the loss without the key frequencies, or the key representations, of the logits.

    High where the network works by these; on the train examples it shows what memorisation still contributes (Nanda et al. 2023,
    https://arxiv.org/abs/2301.05217; for other groups Chughtai et al. 2023, https://arxiv.org/abs/2302.03025).

    Args:
        subject: of a task that is composition in a finite group, perhaps in disguise; addition modulo n is one.
        frequencies: that are removed: in Z_n from 1 to n // 2 or ``freq_k``, in any other group representations by name; the
            network's key ones by default.
        definition: ``nanda2d`` (the default in Z_n), ``logit`` (the default in other groups), ``hidden`` or ``neurons`` (see
            `circuits.fourier.definitions`); their numbers differ.

    Returns:
        `Loss`: mean loss over all, train and test examples, and the number of correct answers.

    Raises:
        MissingCapability: the task is not composition in a finite group.
        UnknownName: another definition, or a representation that the group does not have.
        InterpError: a frequency outside 1..n // 2, or a definition by the hidden layer on a network without one.
    """
    return project(Table(subject), frequencies, definition, keep=False)


def by_frequency(subject: Subject | HookedModel | Table) -> pd.DataFrame:
    """For every frequency, or representation: the loss without it in the logits, and with it only (``nanda2d``).

    Args:
        subject: of a task that is composition in a finite group; or its `Table`, where one is at hand.

    Returns:
        ``frequency, key, loss_without, correct_without, loss_alone, correct_alone``, a row per frequency of Z_n; of another group
        ``representation`` in place of ``frequency``. Losses are means over all inputs, ``key`` marks the network's key ones.

    Raises:
        MissingCapability: the task is not composition in a finite group.
    """
    table = subject if isinstance(subject, Table) else Table(subject)
    every = table.parts
    modes = Modes.of(table, [[k] for k in every])
    without, alone = modes.scores(keep=False), modes.scores(keep=True)
    return pd.DataFrame({
        table.noun: every, "key": [k in table.keys for k in every],
        "loss_without": [loss.all for loss in without], "correct_without": [loss.correct for loss in without],
        "loss_alone": [loss.all for loss in alone], "correct_alone": [loss.correct for loss in alone],
    })  # fmt: skip
