"""The key representations of a network, read off its logits ``[a, b, c]``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError
from interp.groups import Representations
from probes._tensors import as_tensor
from probes.key_factors import FACTOR, Answers, answer_shares, key_factors
from probes.representations.tables import ROUNDING, product_means

CLEAN = 1e-12  # shares of the variance below this are rounding


class LogitShares(NamedTuple):
    """Shares of the logits' variance (mean over inputs removed per output), by representation ``[r]``.

    Attributes:
        on_product: on functions of ``a * b`` in the part of each, for any output.
        on_quotient: on functions of ``a * b * c^-1`` in the part of each.
        on_character: on the character ``chi_r(a * b * c^-1)`` alone.
        by_output: on functions of ``c`` in the part of each, for any input.
        total: the variance itself times the number of entries; shares are 0 where it is 0 up to rounding.
    """

    on_product: Float[Tensor, "r"]
    on_quotient: Float[Tensor, "r"]
    on_character: Float[Tensor, "r"]
    by_output: Float[Tensor, "r"]
    total: float


def quotient_means(by_product: Float[Tensor, "n n"], product: Int[Tensor, "n n"]) -> Float[Tensor, "n"]:
    """The mean of logits over all ``(a, b, c)`` with one ``a * b * c^-1``.

    Args:
        by_product: logits averaged over all pairs with one product, ``[product, c]``.
        product: the multiplication table of the group.

    Returns:
        ``[n]``: a value per element.
    """
    n = len(product)
    columns = torch.arange(n, device=by_product.device)
    return by_product[product.to(by_product.device), columns].mean(1)  # q * c has the quotient q


def logit_shares(logits: Float[Tensor, "n n n"], group: Representations) -> LogitShares:
    """Share of the logits' variance that each representation explains.

    A network that multiplies by way of representations writes logits ``tr rho(a) rho(b) rho(c^-1)`` (Chughtai et al. 2023, A Toy
    Model of Universality, https://arxiv.org/abs/2302.03025). ``trivial`` gets 0.

    Args:
        logits: over the multiplication table, ``[a, b, c]``.
        group: the group's representations.

    Returns:
        Shares on functions of the product, of the quotient and on the character, by representation.

    >>> from interp.groups import representations_of
    >>> from interp.tasks.named_groups import named_table
    >>> group = representations_of(named_table("S_3"))
    >>> logits = 3 + group.characters[2][group.table[group.table][:, :, group.inverse]]
    >>> logit_shares(logits, group).on_character.round(decimals=9).tolist()
    [0.0, 0.0, 1.0]
    """
    logits = _cube(logits, group).double()
    n, by_product = group.order, product_means(logits, group.table)
    means = by_product.mean(0)
    by_product = by_product - means
    total = float((logits - means).pow(2).sum())
    if total <= ROUNDING * float(logits.pow(2).sum()):
        nothing = torch.zeros(len(group), dtype=torch.float64, device=logits.device)
        return LogitShares(nothing, nothing, nothing, nothing, 0.0)
    by_quotient = quotient_means(by_product, group.table)
    characters = group.characters.to(logits.device)
    along = (characters @ by_quotient).pow(2) / characters.pow(2).sum(1)
    on_product, on_quotient = n * group.power(by_product) / total, n * n * group.power(by_quotient) / total
    by_output = group.power((logits - means).flatten(0, 1).T) / total
    found = (on_product, on_quotient, n * n * along / total, by_output)
    for share in found:
        share[0] = 0
    return LogitShares(*found, total)


def logit_threshold(group: Representations) -> Float[Tensor, "r"]:
    """The least share of the logits' variance that a key representation can have: 20 times that of white noise.

    White noise has the share ``rank / n^3`` on functions of ``a * b * c^-1`` in a part of this rank. The threshold is never more
    than half an equal share, which matters for small groups. In Z_p it is `probes.fourier.logit_threshold`.

    Args:
        group: the group's representations.

    Returns:
        A share from 0 to 1 for each.
    """
    ranks = torch.tensor(group.ranks, dtype=torch.float64)
    return (FACTOR * ranks / group.order**3).clamp_max(0.5 / max(1, len(group) - 1))


def key_representations(logits: Float[Tensor, "n n n"], group: Representations) -> list[str]:
    """The key representations of a network: those that its logits are made of.

    The rule is that of frequencies, `probes.key_factors.key_factors`: representations are sorted by their share of the logits'
    variance on functions of ``a * b * c^-1``, and the keys end where it drops to a 20th and nothing below is needed. The number
    is not fixed, and the embedding plays no part.

    Args:
        logits: over the multiplication table, ``[a, b, c]``.
        group: the group's representations.

    Returns:
        Their names, strongest first.
    """
    cube = _cube(logits, group).double()
    shares = logit_shares(cube, group)
    by_quotient = quotient_means(product_means(cube, group.table), group.table)
    parts = torch.stack([group.projection([name]).to(cube.device) @ by_quotient for name in group.names])
    argument = group.table[group.table][:, :, group.inverse].to(cube.device)
    answers = Answers(cube, argument, parts, int(group.table[0, group.inverse[0]]))
    unexplained = max(1 - float(shares.on_quotient.sum()), CLEAN)
    noise = (logit_threshold(group) / FACTOR * unexplained).to(cube.device)
    noise[0] = 1  # the constant is never key
    keys = key_factors(answer_shares(shares.on_quotient, shares.by_output), noise, answers)
    return [group.names[r] for r in sorted(keys, key=lambda r: -float(shares.on_quotient[r]))]


def _cube(logits: Tensor, group: Representations) -> Tensor:
    logits, n = as_tensor(logits, "logits"), group.order
    if logits.shape != (n, n, n):
        raise InterpError(
            f"logits over the multiplication table need the shape [{n}, {n}, {n}], got {list(logits.shape)}; of a subject take "
            "probes.group_tables.logit_table(subject)"
        )
    return logits
