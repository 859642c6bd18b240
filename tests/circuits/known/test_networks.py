"""What the networks compute, against answers in plain Python that know nothing of programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import permutations, product

import pytest
import torch

import circuits
from circuits.known import compiling, programs
from circuits.known.program import Program
from interp import HookedTransformer, InterpError

Answer = Callable[[Sequence[int]], int]
KNOWN = circuits.known


def balanced(word: Sequence[int]) -> int:
    for opens, closes in ((0, 1), (2, 3)):
        height = 0
        for token in word:
            height += (token == opens) - (token == closes)
            if height < 0:
                return 0
        if height:
            return 0
    return 1


def after_first(word: Sequence[int]) -> int:
    body = list(word[1:])
    return body[body.index(body[-1]) + 1]


# the answer as a class, and all inputs that the network is meant for (None: those of its task)
PLAIN: dict[str, tuple[Answer, list[tuple[int, ...]] | None]] = {
    "reverse": (lambda w: [t for t in w if t != 3][-1], None),
    "sort": (lambda w: sorted(w[1:])[1], [(5, *p) for p in permutations(range(5), 4)]),
    "compressed_sort": (lambda w: sorted(w[1:])[1], [(5, *p) for p in permutations(range(5), 4)]),
    "histogram": (lambda w: w[1:].count(w[-1]), [(3, *p) for p in product(range(3), repeat=4)]),
    "fraction_previous": (lambda w: w.count(0), list(product(range(3), repeat=5))),
    "shuffle_dyck": (balanced, list(product(range(4), repeat=6))),
    "induction": (after_first, None),
    "and_or": (lambda w: int(w[0] == w[-1] == 1), list(product(range(2), repeat=4))),
}


@pytest.mark.parametrize("name", PLAIN)
def test_network_equals_plain_python(name: str) -> None:
    """On every input: its logits are the one-hot vector of the answer, to 1e-6."""
    one, (answer, rows) = KNOWN.by_name(name), PLAIN[name]
    task, model = one.subject.require_task(), one.subject.model
    inputs = task.inputs if rows is None else torch.tensor(rows)
    answers = torch.tensor([answer(tuple(row)) for row in inputs.tolist()])
    with torch.no_grad():
        logits = task.read(model(inputs))
    if (
        name == "fraction_previous"
    ):  # its answers are all fractions with denominators up to 5, of which those of fifths occur
        fractions = sorted({a / b for b in range(1, 6) for a in range(b + 1)})
        answers = torch.tensor([fractions.index(a / 5) for a in answers.tolist()])
    wanted = torch.nn.functional.one_hot(answers, task.n_outputs).double()
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-6)


def test_every_position_computes_the_program() -> None:
    """Not only where it is read: reverse, at all positions of all sequences."""
    p = Program((0, 1, 2), 3)
    output = p.aggregate("reversed", p.tokens, p.indices, p.indices, lambda q, k: k == 2 - q)
    model = compiling.compiled(p, output)
    words = list(product(range(3), repeat=3))
    expected = torch.tensor([p.run(word)["reversed"] for word in words])
    assert expected.tolist() == [list(word[::-1]) for word in words]
    assert torch.equal(model(torch.tensor(words)).argmax(-1), expected)


@pytest.mark.parametrize("name", ["modular_addition", "parity", "superposition"])
def test_mlps_are_right(name: str) -> None:
    """By hand: (a + b) mod 7, the product of three bits, and the feature that is on; no answer by a hair."""
    one = KNOWN.by_name(name)
    task = one.subject.require_task()
    x, logits = task.inputs, one.subject.logits()
    if name == "parity":
        torch.testing.assert_close(logits[:, 0], x[:, :3].double().prod(1))
        return
    wanted = x.sum(1) % 7 if name == "modular_addition" else x.argmax(1)
    top = logits.topk(2).values
    assert torch.equal(logits.argmax(1), wanted)
    assert float((top[:, 0] - top[:, 1]).min()) > 0.3
    if name == "modular_addition":
        c = torch.arange(7)
        angle = 2 * math.pi * (x.sum(1)[:, None] - c).double() / 7
        torch.testing.assert_close(logits, angle.cos())


def test_other_sizes() -> None:
    """Sizes are arguments, and are checked."""
    later = KNOWN.reverse(n_ctx=3, n_tokens=2, position=1)
    assert later.edges == KNOWN.reverse().edges
    assert later.constant == KNOWN.reverse().constant | {"embed > L0 mlp"}  # the position, which counts from 0
    assert len(KNOWN.parity(n=4, k=4).edges) == 4 * 4 + 4
    assert KNOWN.modular_addition(p=5, frequency=2).subject.require_task().n_outputs == 5
    for call in (
        lambda: KNOWN.sort(length=9),
        lambda: KNOWN.modular_addition(p=6),
        lambda: KNOWN.induction(n_tokens=0),
    ):
        with pytest.raises(InterpError):
            call()


def test_compressed_streams_are_narrow() -> None:
    """Fewer dimensions, the same function to rounding, on any program."""
    for known in (None, KNOWN.shuffle_dyck()):
        wide, narrow = known or KNOWN.sort(), KNOWN.compressed(known)
        a, b = wide.subject.model, narrow.subject.model
        assert isinstance(a, HookedTransformer)
        assert isinstance(b, HookedTransformer)
        assert b.config.d_model < 0.81 * a.config.d_model
        tokens = wide.subject.require_task().inputs
        torch.testing.assert_close(b(tokens), a(tokens), rtol=0, atol=1e-8)
        assert narrow.edges == wide.edges
        assert not narrow.interference
    with pytest.raises(InterpError, match="known circuit of a transformer"):
        KNOWN.compressed(KNOWN.parity())
    with pytest.raises(InterpError, match="answers are wrong"):
        KNOWN.compressed(d_model=12)


def test_a_map_that_its_sum_cannot_tell_apart() -> None:
    """Weights of a sum that is the same for values with different results are refused."""
    p = Program((0, 1), 2)
    with pytest.raises(InterpError, match="weighted sum is 1"):
        p.map("less", lambda a, b: a < b, p.tokens, p.indices, weights=(1.0, 1.0))


def test_programs_name_their_variables_once() -> None:
    p = Program(("a", programs.PAD), 2)
    with pytest.raises(InterpError, match="'tokens' already"):
        p.aggregate("tokens", p.tokens)
