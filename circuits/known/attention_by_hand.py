"""Known circuits of attention, written by hand: induction by two heads, and an and-or circuit with a backup."""

from __future__ import annotations

from itertools import product

from circuits.known.known_circuit import KnownCircuit
from circuits.known.program import Program
from circuits.known.programs import BOS, solved
from interp.errors import require_range


def induction(length: int = 5, n_tokens: int = 3, soft: bool = False) -> KnownCircuit:
    """Induction by two heads (Elhage et al. 2021, https://transformer-circuits.pub/2021/framework/index.html).

    The head of layer 0 writes the previous token; the head of layer 1 looks for the last token among these (K-composition)
    and copies the token that stands where it finds it.

    Args:
        length: of the sequences, without BOS.
        n_tokens: different tokens.
        soft: attention and steps that let gradients through, see `compiled`.

    Returns:
        the known circuit; its inputs are all sequences whose last token occurred exactly once before.
    """
    require_range("length", length, 3, 6)
    require_range("n_tokens", n_tokens, 2, 4)
    p = Program((*range(n_tokens), BOS), length + 1, causal=True)
    previous = p.aggregate("previous", p.tokens, p.indices, p.indices, lambda q, k: k == max(q - 1, 0))
    p.aggregate("first", p.tokens, p.indices, p.indices, lambda q, k: k == 0)
    output = p.aggregate("following", p.tokens, p.tokens, previous, lambda q, k: q == k)
    words = product(range(n_tokens), repeat=length)
    sequences = [(BOS, *word) for word in words if word[:-1].count(word[-1]) == 1]
    return solved(
        "induction", p, output, sequences, -1,
        "L0H0 writes the previous token, L1H0 attends to where that is the last token, and copies the token there.", soft=soft,
    )  # fmt: skip


def and_or(n_ctx: int = 4, soft: bool = False) -> KnownCircuit:
    """An AND of two bits, one of which arrives by two paths, an OR: either path suffices.

    Heads L0H0 and L0H1 both fetch the first bit. The MLP of layer 0 asks whether one or the other has it, the MLP of layer 1
    whether the last bit is 1 as well. Clean inputs have the answer 1, so that the loss of one path is made up for by the
    other: methods that ablate one edge at a time miss both.

    Args:
        n_ctx: bits; those in the middle are not read.
        soft: attention and steps that let gradients through, see `compiled`.

    Returns:
        the known circuit, with the edges of both paths in ``redundant``.
    """
    require_range("n_ctx", n_ctx, 2, 6)
    p = Program((0, 1), n_ctx)
    paths = [
        p.aggregate(name, p.tokens, p.indices, p.indices, lambda q, k: k == 0, weights={1: 1.0}, values=(0.0, 1.0))
        for name in ("path", "backup")
    ]
    # a path that has lost its bit carries a half: the step stands above it
    either = p.map("either", lambda a, b: float(a + b > 0), *paths, weights=(1.0, 1.0), at=0.75, number=True)
    output = p.map("both", lambda bit, last: int(bit == 1 and last == 1), either, p.tokens, weights=(1.0, 1.0))
    doubled = [f"{sender} > {receiver}" for h in (0, 1)
               for sender, receiver in (("embed", f"L0H{h} values"), (f"L0H{h}", "L0 mlp"))]  # fmt: skip
    return solved(
        "and_or", p, output, product((0, 1), repeat=n_ctx), -1,
        "L0H0 or L0H1 brings the first bit (either suffices), and L1 mlp asks whether it and the last bit are 1.",
        doubled, answer=1, soft=soft,
    )  # fmt: skip
