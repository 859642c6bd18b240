"""Known circuits of MLPs, written by hand: modular addition on one frequency, parity, and features in superposition."""

from __future__ import annotations

import math
from itertools import combinations, product

import torch

from circuits.known.known_circuit import KnownCircuit, known_circuit
from interp.errors import InterpError, require_range
from interp.hooked import HookedMLP, MLPConfig
from interp.subject import Subject
from interp.tasks import Examples, ModularArithmetic


def modular_addition(p: int = 7, frequency: int = 1) -> KnownCircuit:
    """Addition modulo p on a single frequency, as Nanda et al. 2023 found it (https://arxiv.org/abs/2301.05217), exact.

    Embeddings are cos and sin of ``2 pi k a / p``. Units are squares of sums and of differences of one entry of a and one of
    b, whose difference is their product, ``(x + y)^2 - (x - y)^2 = 4 x y``; the unembedding adds these up to
    ``cos(2 pi k (a + b - c) / p)``.

    Args:
        p: the modulus, odd.
        frequency: k, without a common divisor with p.

    Returns:
        the known circuit; four units are idle.

    Raises:
        InterpError: an even p, or a frequency that does not tell all residues apart.
    """
    require_range("p", p, 3, 31)
    require_range("frequency", frequency, 1, p - 1)
    if p % 2 == 0 or math.gcd(p, frequency) > 1:
        raise InterpError(
            f"p must be odd and have no common divisor with the frequency, got p={p}, frequency={frequency}"
        )
    angle = 2 * math.pi * frequency * torch.arange(p, dtype=torch.float64) / p
    model = _zeros(MLPConfig(hidden=(12,), d_out=p, d_vocab=p, d_embed=2, act_fn="square"))
    with torch.no_grad():
        model.W_E.copy_(torch.stack([angle.cos(), angle.sin()], 1))
        signs = {(0, 0): angle.cos(), (1, 1): -angle.cos(), (0, 1): angle.sin(), (1, 0): angle.sin()}
        for i, ((of_a, of_b), reads) in enumerate(signs.items()):
            for unit, sign in ((2 * i, 1.0), (2 * i + 1, -1.0)):
                model.layer(0).W[of_a, unit], model.layer(0).W[2 + of_b, unit] = 1.0, sign
                model.W_U[unit] = sign * reads / 4
    task = ModularArithmetic(p)
    return known_circuit(
        "modular_addition", Subject("modular_addition", model, task.fit(model)),
        f"Pairs of units multiply cos and sin of a and b at frequency {frequency}; the unembedding reads cos of a + b - c.",
    )  # fmt: skip


def parity(n: int = 5, k: int = 3) -> KnownCircuit:
    """The product of the first k of n bits of -1 and 1, by k units.

    Unit i is ``relu(m - i)`` with m the number of bits that are -1; the output ``1 - 2 u_0 + 4 u_1 - 4 u_2 + ...`` goes up
    and down between 1 and -1 with every further one.

    Args:
        n: bits.
        k: how many of them decide.

    Returns:
        the known circuit; its inputs are all values of the bits, and two units are idle.
    """
    require_range("n", n, 2, 8)
    require_range("k", k, 2, n)
    model = _zeros(MLPConfig(hidden=(k + 2,), d_out=1, d_in=n))
    with torch.no_grad():
        model.layer(0).W[:k, :k] = -0.5
        model.layer(0).W[k:, k:] = 1.0  # idle units read the other bits
        for i in range(k):
            model.layer(0).b[i] = k / 2 - i
            model.W_U[i] = (-1) ** (i + 1) * (4.0 if i else 2.0)
        model.unembed.b_U.fill_(1.0)
    inputs = torch.tensor(list(product((-1.0, 1.0), repeat=n)), dtype=torch.float64)
    task = Examples(inputs, inputs[:, :k].prod(1).long(), loss="hinge")
    return known_circuit(
        "parity", Subject("parity", model, task),
        f"Unit i is above zero where more than i of the first {k} bits are -1; the output alternates with their number.",
        metric="loss",
    )  # fmt: skip


def superposition(n_units: int = 4) -> KnownCircuit:
    """More features than units: each of n (n - 1) / 2 features is written on a pair of units of its own.

    A feature's logit adds up the two units of its pair. Two features share a unit at most, so the right one wins as long as
    one alone is active, as in the toy models of Elhage et al. 2022 (https://transformer-circuits.pub/2022/toy_model/index.html).

    Args:
        n_units: units that features share.

    Returns:
        the known circuit; its inputs have one active feature of size 1/2 or 1, and one unit is idle.
    """
    require_range("n_units", n_units, 3, 6)
    pairs = list(combinations(range(n_units), 2))
    model = _zeros(MLPConfig(hidden=(n_units + 1,), d_out=len(pairs), d_in=len(pairs)))
    with torch.no_grad():
        for feature, pair in enumerate(pairs):
            model.layer(0).W[feature, list(pair)] = 1.0
            model.W_U[list(pair), feature] = 1.0
        model.layer(0).W[:, n_units] = 1.0  # read by nobody
    one = torch.eye(len(pairs), dtype=torch.float64)
    task = Examples(torch.cat([one, one / 2]), torch.arange(len(pairs)).repeat(2))
    return known_circuit(
        "superposition", Subject("superposition", model, task),
        f"Each of {len(pairs)} features is written on two of {n_units} units and read from both.",
    )  # fmt: skip


def _zeros(config: MLPConfig) -> HookedMLP:
    model = HookedMLP(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model
