"""Pieces of work side by side: the same results in the same order, and torch's threads as before."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from circuits.engine.side_by_side import AHEAD, in_order

CPU = torch.device("cpu")


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def work(job: int) -> tuple[int, Tensor, bool, int]:
    return threading.get_ident(), torch.arange(job).square().sum(), torch.is_grad_enabled(), torch.get_num_threads()


def test_every_piece_in_order_on_one_thread_each(three_threads: None) -> None:
    found = dict(in_order(work, range(40), CPU))
    assert list(found) == list(range(40))
    assert all(int(value) == sum(i * i for i in range(job)) for job, (_, value, _, _) in found.items())
    assert threading.get_ident() not in {one[0] for one in found.values()}
    assert {one[2:] for one in found.values()} == {(False, 1)}


def test_no_more_pieces_are_begun_than_are_waited_for(three_threads: None) -> None:
    begun: list[int] = []
    pieces = in_order(begun.append, range(100), CPU)
    next(pieces)
    assert len(begun) <= 3 * AHEAD
    pieces.close()  # type: ignore[attr-defined]
    assert len(begun) <= 3 * AHEAD


def test_an_error_in_a_piece_is_raised(three_threads: None) -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda job: 1 // (5 - job), range(10), CPU))


@pytest.mark.parametrize("case", ["one thread", "a GPU", "fake tensors", "a transform"])
def test_elsewhere_pieces_run_in_this_thread(case: str, three_threads: None) -> None:
    here = {threading.get_ident()}

    def threads(device: str = "cpu") -> set[int]:
        return {one for _, one in in_order(lambda _: threading.get_ident(), range(5), torch.device(device))}

    if case == "one thread":
        torch.set_num_threads(1)
        assert threads() == here
        torch.set_num_threads(3)
    elif case == "fake tensors":
        with FakeTensorMode():
            assert threads() == here
    elif case == "a transform":
        seen: list[set[int]] = []
        torch.func.vmap(lambda x: seen.append(threads()) or x)(torch.ones(2))
        assert seen == [here]
    else:
        assert threads("cuda") == here
