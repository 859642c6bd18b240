"""Transforms at hook points: what they see, in which order they act, and what is left of them, in one thread and in two."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from circuits import Ablate, Scale, Zero, applied
from interp import InterpError, Site, capture
from interp.activations.transform import transform_at
from interp.hooked.base import HookedModel
from interp.hooked.hook_point import hooks_on
from tests.circuits.networks import KINDS, subject
from tests.models import P, make

TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P), torch.tensor([P]))
POST, MLP_OUT = "blocks.0.mlp.hook_post", "blocks.0.hook_mlp_out"
ROUNDS = 200


def installed(model: torch.nn.Module) -> int:
    return sum(len(hooks_on(m)) for m in model.modules())


def add_one(activation: Tensor) -> Tensor:
    return activation + 1


def double(activation: Tensor) -> Tensor:
    return 2 * activation


@torch.no_grad()
def test_what_a_transform_returns_is_what_the_rest_of_the_network_sees() -> None:
    """Neurons at twice their activation write twice as much, since what they write is linear in them without a bias."""
    model = make("plain")
    bias = model.get_parameter("blocks.0.mlp.b_out")
    clean = capture(model, TOKENS, [POST, MLP_OUT])
    with transform_at(model, {POST: double}):
        changed = capture(model, TOKENS, [POST, MLP_OUT])
    torch.testing.assert_close(changed[POST], 2 * clean[POST])
    torch.testing.assert_close(changed[MLP_OUT] - bias, 2 * (clean[MLP_OUT] - bias))


@torch.no_grad()
def test_several_at_one_point_act_in_the_order_given() -> None:
    """2 (x + 1) is not 2 x + 1; pairs may name a point twice, and nested blocks act from the outer to the inner."""
    model, found = make("plain"), []
    clean = capture(model, TOKENS, POST)[POST]
    for pairs in ([(POST, add_one), (POST, double)], [(POST, double), (POST, add_one)]):
        with transform_at(model, pairs):
            found.append(capture(model, TOKENS, POST)[POST])
    torch.testing.assert_close(found[0], 2 * (clean + 1))
    torch.testing.assert_close(found[1], 2 * clean + 1)
    with transform_at(model, {POST: add_one}), transform_at(model, {POST: double}):
        torch.testing.assert_close(capture(model, TOKENS, POST)[POST], found[0])


@torch.no_grad()
def test_the_users_hooks_stay_and_act_first() -> None:
    """Theirs sees the clean activation, ours what theirs returns; afterwards theirs still acts."""
    model, seen = make("plain"), []
    clean = capture(model, TOKENS, POST)[POST]
    model.add_hook(POST, lambda x, hook: x - 3)

    def look(activation: Tensor) -> Tensor:
        seen.append(activation.clone())
        return activation

    with transform_at(model, {POST: look}):
        model(TOKENS)
    torch.testing.assert_close(seen[0], clean - 3)
    assert installed(model) == 1
    torch.testing.assert_close(capture(model, TOKENS, POST)[POST], clean - 3)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@torch.no_grad()
def test_nothing_is_left_after_an_error(error: type[BaseException]) -> None:
    """In the block, in a transform, or while the second is installed."""
    model = make("plain")
    clean = model(TOKENS)

    def fail(activation: Tensor) -> Tensor:
        raise error("in the transform")

    with pytest.raises(error, match="in the block"), transform_at(model, {POST: double}):
        raise error("in the block")
    with pytest.raises(error, match="in the transform"), transform_at(model, {POST: fail}):
        model(TOKENS)
    with pytest.raises(KeyError), transform_at(model, {POST: double, "no such point": double}):
        pass
    assert installed(model) == 0
    assert torch.equal(model(TOKENS), clean)


def test_another_shape_is_refused() -> None:
    """The hook point is named."""
    model = make("plain")
    with (
        pytest.raises(InterpError, match=rf"{POST}: .*\[49, 3, 10\] was turned into \[49, 3\]"),
        transform_at(model, {POST: lambda a: a[..., 0]}),
    ):
        model(TOKENS)
    assert installed(model) == 0


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns a hundred times as often, so that they meet inside forward passes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def together(*works: Callable[[], list[Tensor]]) -> list[list[Tensor]]:
    """What each of several functions returns, each in a thread of its own, started together."""
    start, found, errors = threading.Barrier(len(works)), [[] for _ in works], []

    def run(number: int) -> None:
        try:
            start.wait()
            with torch.no_grad():  # a setting of each thread
                found[number] = works[number]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


def under(model: HookedModel, inputs: Tensor, *changes: Ablate | Scale) -> Tensor:
    with applied(model, list(changes), strict=False, measured=False):
        return model(inputs)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_threads_change_one_model_each_for_itself(kind: str) -> None:
    """Two with different interventions and one without any: each has the numbers that it has on its own."""
    one = subject(kind)
    # in a bridge the stream between attention and MLP, whose change is carried on past the MLP
    place = "blocks.0.hook_resid_mid" if kind == "bridge" else KINDS[kind].places[0]
    model, inputs = one.model, one.require_task().inputs[:3]
    changes = ([Ablate(place, Zero())], [Scale(place, 2.0), Scale(Site(place, unit=0), 3.0)], [])
    expected = [under(model, inputs, *change) for change in changes]
    assert not torch.allclose(expected[0], expected[1])
    assert not torch.allclose(expected[1], expected[2])
    rounds = ROUNDS if kind != "lstm" else ROUNDS // 10  # an LSTM with hooks runs step by step
    works = [lambda c=change: [under(model, inputs, *c) for _ in range(rounds)] for change in changes]
    for found, right in zip(together(*works), expected, strict=True):
        assert len(found) == rounds
        for outputs in found:
            torch.testing.assert_close(outputs, right, rtol=1e-9, atol=1e-9)
    assert model.watched_sites() == []


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["transformer", "conv", "bridge"])
@torch.no_grad()
def test_threads_capture_from_one_model_each_its_own(kind: str) -> None:
    """Other inputs, other activations, each point once; and a thread that ablates does not reach into them."""
    one = subject(kind)
    model, inputs, place = one.model, one.require_task().inputs, KINDS[kind].places[0]
    batches = inputs[:2], inputs[2:4]
    expected = [capture(model, x, place)[place] for x in batches]
    works = [lambda x=x: [capture(model, x, place)[place] for _ in range(ROUNDS)] for x in batches]
    zero = under(model, inputs[:3], Ablate(place, Zero()))
    ablating = lambda: [under(model, inputs[:3], Ablate(place, Zero())) for _ in range(ROUNDS)]  # noqa: E731
    *found, ablated = together(*works, ablating)
    for acts, right in zip(found, expected, strict=True):
        assert all(a.shape == right.shape for a in acts)
        for a in acts:
            torch.testing.assert_close(a, right, rtol=1e-9, atol=1e-9)
    for outputs in ablated:
        torch.testing.assert_close(outputs, zero, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_copy_has_no_hooks_of_another_threads_forward_pass() -> None:
    """While hooks stand on a foreign module, `cast` waits to copy it."""
    one, copies = KINDS["conv"].build(), []
    other = threading.Thread(target=lambda: copies.append(one.model.cast(torch.float32)))

    def start(activation: Tensor) -> Tensor:
        other.start()
        other.join(0.2)
        assert copies == []
        return activation

    with transform_at(one.model, {"0.hook_out": start}):
        one.model(one.require_task().inputs)
    other.join()
    assert copies[0].dtype == torch.float32
    assert installed(copies[0]) == 0
