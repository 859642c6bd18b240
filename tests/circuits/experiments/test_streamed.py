"""Ablation over a loader: the numbers of one tensor, batches visited in one order, nothing held."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import circuits
import interp
from circuits import Mean
from interp import InterpError, MissingCapability, Subject

X = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :4].argmax(1)


def model() -> interp.HookedModel:
    torch.manual_seed(0)
    return interp.wrap(nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 5)), X)


def whole(**options: Any) -> circuits.EffectTable:
    return circuits.ablate(Subject("net", model(), interp.Examples(X, Y, n_answers=5)), site="1.hook_out", **options)


def assert_same(found: circuits.EffectTable, expected: circuits.EffectTable) -> None:
    assert list(found.columns) == list(expected.columns)
    for name in found.columns:
        if found[name].dtype == float:
            torch.testing.assert_close(
                torch.tensor(found[name].tolist()),
                torch.tensor(expected[name].tolist()),
                atol=1e-12,
                rtol=1e-10,
                equal_nan=True,
            )
        else:
            assert found[name].tolist() == expected[name].tolist(), name
    for name, value in expected.attrs["clean"].items():
        assert found.attrs["clean"][name] == pytest.approx(value, abs=1e-12)


LOADERS: dict[str, Any] = {
    "loader": DataLoader(TensorDataset(X, Y), batch_size=7),
    "shuffled": DataLoader(TensorDataset(X, Y), batch_size=7, shuffle=True),
    "shuffled by its own generator": DataLoader(
        TensorDataset(X, Y), batch_size=7, shuffle=True, generator=torch.Generator().manual_seed(3)
    ),
    "list": list(zip(X.split(13), Y.split(13), strict=True)),
    "dicts": [{"input": x, "labels": y} for x, y in zip(X.split(13), Y.split(13), strict=True)],
}


@pytest.mark.parametrize("value", ["mean", "zero", Mean(reference=X[:9]), 0.25])
@pytest.mark.parametrize("name", LOADERS)
def test_the_numbers_of_one_tensor(name: str, value: Any) -> None:
    """To rounding, with random directions for comparison; torch's random state stays."""
    network, before = model(), torch.get_rng_state()
    found = circuits.ablate(network, site="1.hook_out", value=value, inputs=LOADERS[name], n_random=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(found, whole(value=value, n_random=3))


def test_a_basis_a_metric_and_our_own_models() -> None:
    """Directions at a site, a function of the outputs without targets, and a network that needs no wrapping."""
    basis = torch.eye(9)[:4]
    loader = LOADERS["loader"]
    found = circuits.ablate(model(), basis=basis, site="1.hook_out", inputs=loader)
    expected = circuits.ablate(
        Subject("net", model(), interp.Examples(X, Y, n_answers=5)), basis=basis, site="1.hook_out"
    )
    assert_same(found, expected)

    def margin(out: Tensor) -> Tensor:
        return out[:, 0] - out[:, 1]

    assert_same(
        circuits.ablate(model(), site="1.hook_out", inputs=list(zip(X.split(8), strict=True)), metric=margin),
        circuits.ablate(model(), site="1.hook_out", inputs=X, metric=margin),
    )
    mlp = interp.HookedMLP(interp.MLPConfig((8,), 5, d_in=6)).init_weights(seed=0)
    assert_same(
        circuits.ablate(mlp, inputs=loader),
        circuits.ablate(Subject("mlp", mlp, interp.Examples(X, Y, n_answers=5))),
    )


class Watched:
    """Batches made when they are asked for; counts passes and what of them is alive."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.alive: list[weakref.ref[Tensor]] = []
        self.most = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(10):
            gc.collect()
            self.most = max(self.most, sum(ref() is not None for ref in self.alive))
            batch = X[5 * i : 5 * i + 5].clone()
            self.alive.append(weakref.ref(batch))
            self.order.append(i)
            yield batch, Y[5 * i : 5 * i + 5]
            del batch


def test_never_holds_all_and_keeps_the_order() -> None:
    """At most two of ten batches are alive at once (the first one's evaluation stays); each pass runs through 0 to 9."""
    loader, seen = Watched(), []
    gc.freeze()  # the collections in the loader look only at what is made from here on
    try:
        found = circuits.ablate(
            model(),
            site="1.hook_out",
            inputs=loader,
            dtype=torch.float32,
            progress=lambda done, total: seen.append((done, total)),
        )
    finally:
        gc.unfreeze()
    assert loader.most <= 3
    assert loader.order == [*range(10)] * (len(loader.order) // 10)
    assert seen[-1] == (90, 90)
    assert [done for done, _ in seen] == [9 * i for i in range(1, 11)]
    torch.testing.assert_close(
        torch.tensor(found.loss.tolist()), torch.tensor(whole().loss.tolist()), atol=1e-6, rtol=1e-5
    )


def test_capture_reads_a_loader() -> None:
    """Activations and statistics are those of one tensor."""
    expected = interp.capture(model(), X, "1.hook_out")["1.hook_out"]
    for loader in (LOADERS["loader"], LOADERS["list"]):
        torch.testing.assert_close(interp.capture(model(), loader, "1.hook_out")["1.hook_out"], expected)
    mean = interp.capture(model(), LOADERS["shuffled"], "1.hook_out", reduce=interp.reducers.Mean())["1.hook_out"]
    torch.testing.assert_close(mean.float(), expected.mean(0))


def test_what_cannot_be_streamed_is_refused() -> None:
    """Read only once, empty, single examples, other batches each time, values and metrics of all inputs at once."""

    class Drifting:
        passes = 0

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            self.passes += 1
            yield X + self.passes, Y

    def ablate(loader: Any, **options: Any) -> None:
        circuits.ablate(model(), site="1.hook_out", inputs=loader, **options)

    with pytest.raises(InterpError, match="a generator can be read only once, .* give a list, a DataLoader"):
        ablate((x, y) for x, y in zip(X.split(7), Y.split(7), strict=True))
    with pytest.raises(InterpError, match="gives single examples: DataLoader"):
        ablate(TensorDataset(X, Y))
    with pytest.raises(InterpError, match="batch 0 differs from the one that it gave in the first pass"):
        ablate(Drifting())
    with pytest.raises(InterpError, match="gives no batches"):
        ablate(DataLoader(TensorDataset(X[:0], Y[:0])))
    with pytest.raises(InterpError, match="Resample permutes all inputs"):
        ablate(LOADERS["loader"], value="resample")
    with pytest.raises(InterpError, match="'metric' judges all inputs together"):
        ablate(LOADERS["loader"], metric=lambda out: out.mean())
    with pytest.raises(MissingCapability, match="batches have no targets"):
        ablate([(x,) for x in X.split(7)])
    with pytest.raises(InterpError, match="labels='answer' names none"):
        ablate(LOADERS["dicts"], labels="answer")
    with pytest.raises(InterpError, match="labels=5 names none"):
        ablate(LOADERS["loader"], labels=5)
    with pytest.raises(InterpError, match="labels says where a loader's batches"):
        circuits.ablate(Subject("net", model(), interp.Examples(X, Y)), site="1.hook_out", labels=1)


def test_several_inputs_from_a_loader() -> None:
    """Batches (a, b, targets), and with the targets in another place."""
    a, b, bilinear = X[:, :3], X[:, 3:], nn.Bilinear(3, 3, 5)
    wrapped = interp.wrap(_Pair(bilinear), (a, b))
    subject = Subject("pair", wrapped, interp.Examples((a, b), Y, n_answers=5))
    expected = circuits.ablate(subject, site="inner.hook_out")
    assert_same(circuits.ablate(wrapped, site="inner.hook_out", inputs=DataLoader(TensorDataset(a, b, Y), 9)), expected)
    first = DataLoader(TensorDataset(Y, a, b), 9)
    assert_same(circuits.ablate(wrapped, site="inner.hook_out", inputs=first, labels=0), expected)


class _Pair(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.inner(a, b).tanh()


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize("experiment", [circuits.patch, circuits.attribute])
def test_loaders_of_pairs_are_refused(experiment: Any, loader: Any) -> None:
    """A loader in place of either batch of a pair is refused in one message that says what to do."""
    for pair in ((loader, X), (X, loader), (loader, loader)):
        with pytest.raises(InterpError, match="two aligned batches; give tensors, or call them on each batch"):
            experiment(model(), *pair, "1.hook_out", metric=lambda out: out[:, 0])
