"""Directions in weight space: what they change, how they are drawn, and the law of random columns (METHODS A)."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import beta, chisquare, ks_2samp, kstest
from torch import Tensor

from circuits.weight_sweeps.change_measures import mean_square
from circuits.weight_sweeps.directions import Direction, matrices, random_directions, rows, single_entries
from circuits.weight_sweeps.render import Renderer
from interp import HookedTransformer, TransformerConfig
from interp.errors import InterpError, UnknownName
from interp.hooked import HookedCPPN
from tests.circuits.cppns import dense, of_weights, rendered, sparse

SPANS = ("column", "layer", "network")
TRANSFORMER = HookedTransformer(TransformerConfig(1, 8, 2, 4, 6, 5, 3, d_mlp=7)).double().init_weights(0)


def weights_of(model: HookedCPPN | HookedTransformer) -> dict[str, Tensor]:
    return {n: p.detach() for n, p in model.named_parameters()}


@pytest.mark.parametrize("model", [dense(), dense().float(), TRANSFORMER], ids=["cppn", "float32", "transformer"])
def test_changes_have_length_one_and_the_parameters_shapes(model: HookedCPPN | HookedTransformer) -> None:
    """Of every kind, in every model: what a step of 1 adds has norm 1, and stays where it says that it is."""
    weights = weights_of(model)
    found = [*single_entries(model, "all", n=30), *(d for s in SPANS for d in random_directions(model, 10, 1, s))]
    assert {d.kind for d in found} == {"single", *SPANS}
    for d in found:
        changes = d.changes(weights)
        assert set(changes) == ({d.parameter} if d.parameter else set(matrices(weights)))
        assert all(c.shape == weights[n].shape and c.dtype == weights[n].dtype for n, c in changes.items())
        assert sum(float(c.double().square().sum()) for c in changes.values()) == pytest.approx(1, abs=1e-6)
        if d.column is not None:
            (change,) = changes.values()
            outside = torch.arange(change.shape[-1]) != d.column
            assert not change[..., outside].any()
            assert int((change != 0).sum()) == (1 if d.row is not None else rows(change))
        if d.row is not None:
            assert d.column is not None
            assert changes[d.parameter or ""].reshape(-1, change.shape[-1])[d.row, d.column] == 1


def test_changes_of_the_whole_network_by_hand() -> None:
    """The flat vector is the matrices one after the other, row by row; what is not a matrix stays out."""
    weights = {"b": torch.zeros(3), "A": torch.zeros(2, 2), "B": torch.zeros(1, 2, 2)}
    changes = Direction(None, None, torch.arange(8.0)).changes(weights)
    assert {n: c.tolist() for n, c in changes.items()} == {"A": [[0, 1], [2, 3]], "B": [[[4, 5], [6, 7]]]}
    (layer,) = Direction("B", None, torch.arange(4.0).reshape(2, 2)).changes(weights).values()
    assert layer.tolist() == [[[0, 1], [2, 3]]]


def test_single_entries_are_those_asked_for() -> None:
    model = sparse()
    weights = weights_of(model)
    table = {(n, i, j) for n, W in weights.items() for i in range(len(W)) for j in range(W.shape[1])}
    every = single_entries(model, "all")
    places = [(d.parameter, d.row, d.column) for d in every]
    assert len(places) == len(set(places))
    assert set(places) == table
    assert [str(d) for d in every[:2]] == ["layers.0.W[0, 0]", "layers.0.W[0, 1]"]
    nonzero = {(d.parameter, d.row, d.column) for d in single_entries(model)}
    assert nonzero == {p for p in table if weights[p[0]][p[1], p[2]] != 0} < table
    one = single_entries(model, parameters="unembed.W_U")
    assert {d.parameter for d in one} == {"unembed.W_U"}
    assert len(one) == int((weights["unembed.W_U"] != 0).sum())


def test_single_entries_of_a_number() -> None:
    """A choice without repeats, in the order of the layers, by its seed; of all where there are fewer."""
    model = dense()
    every = [str(d) for d in single_entries(model, "all")]
    chosen = {seed: [str(d) for d in single_entries(model, "all", n=40, seed=seed)] for seed in (0, 1)}
    for own in chosen.values():
        assert len(set(own)) == 40
        assert own == [name for name in every if name in set(own)]
    assert chosen[0] != chosen[1]
    assert chosen[0] == [str(d) for d in single_entries(model, "all", n=40)]
    assert [str(d) for d in single_entries(model, "all", n=10**6)] == every
    drawn = [d for seed in range(60) for d in single_entries(model, "all", n=4, seed=seed)]
    within = sum(d.parameter in ("layers.1.W", "layers.2.W") for d in drawn) / len(drawn)
    share = 2 * 144 / len(every)  # of 4 x 12 + 2 x 12 x 12 + 12 x 3 entries
    assert within == pytest.approx(share, abs=4 * (share * (1 - share) / len(drawn)) ** 0.5)


@pytest.mark.parametrize("n", [-1, -3])
def test_a_negative_number_of_entries_is_refused(n: int) -> None:
    """As random directions do it; never all but the last few."""
    with pytest.raises(InterpError):
        single_entries(dense(), n=n)


@pytest.mark.parametrize("span", SPANS)
def test_random_directions_by_seed(span: str) -> None:
    model = dense()
    state = torch.random.get_rng_state()
    first, again, other = (random_directions(model, 8, seed, span) for seed in (3, 3, 4))  # type: ignore[arg-type]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [str(d) for d in first] == [str(d) for d in again]
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(first, again, strict=True))
    vectors = [(a.vector, b.vector) for a, b in zip(first, other, strict=True)]
    assert not any(a.shape == b.shape and torch.equal(a, b) for a, b in vectors)
    longer = random_directions(model, 12, 3, span)  # type: ignore[arg-type]
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(first, longer, strict=False))


def test_random_columns_are_uniform() -> None:
    """Matrices alike, columns alike, and a squared coordinate of a unit vector is Beta(1/2, (n-1)/2)."""
    model = dense()
    found = random_directions(model, 3000, 0)
    names = list(weights_of(model))
    counts = [sum(d.parameter == n for d in found) for n in names]
    assert chisquare(counts).pvalue > 1e-3
    hidden = [d for d in found if d.parameter == "layers.1.W"]
    width = model.config.width
    assert chisquare([sum(d.column == j for d in hidden) for j in range(width)]).pvalue > 1e-3
    vectors = torch.stack([d.vector for d in hidden])
    for coordinate in (0, width - 1):
        assert kstest(vectors[:, coordinate].square().numpy(), beta(0.5, (width - 1) / 2).cdf).pvalue > 1e-3
    assert abs(float(vectors.mean())) < 4 / (width * len(vectors) ** 0.5)


def test_refusals_suggest_the_nearest() -> None:
    model = dense()
    for draw in (single_entries, random_directions):
        with pytest.raises(UnknownName, match=r"layers\.2\.w.*did you mean 'layers\.2\.W'"):
            draw(model, parameters=["unembed.W_U", "layers.2.w"])
        with pytest.raises(InterpError, match="no matrices"):
            draw(model, parameters=[])
    with pytest.raises(UnknownName, match="did you mean 'nonzero'"):
        single_entries(model, "nonzeros")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="did you mean 'column'"):
        random_directions(model, span="columns")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="moves all matrices; leave out parameters="):
        random_directions(model, span="network", parameters="layers.1.W")
    with pytest.raises(InterpError, match="n"):
        random_directions(model, 0)


def rotated(seed: int = 0, n: int = 6) -> tuple[HookedCPPN, HookedCPPN, Tensor]:
    """The same function twice: what layer 1 reads stands in another basis. Layer 0 is of cache slots alone."""
    arch = f"2;cache:{n},gaussian:1,sin:1,tanh:1"
    generator = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    Q = torch.block_diag(Q, torch.eye(3, dtype=torch.float64))
    first, second, last = [W.detach().clone() for W in dense(arch, seed, 2.0).matrices]
    first[:, n:] = 0  # so that the slots with curves hold 0, and no basis of theirs matters
    first[1:, 0] = first[0, 1:n] = 0  # the first slot holds y alone: single entries know the basis
    return of_weights(arch, [first, second, last]), of_weights(arch, [first @ Q, Q.T @ second, last]), Q


@pytest.mark.parametrize("seed", range(3))
def test_a_rotated_direction_gives_the_same_pictures(seed: int) -> None:
    """A layer's input basis is nobody's business: with the direction rotated too, every picture is the same."""
    model, other, Q = rotated(seed)
    directions = random_directions(model, 30, seed, parameters="layers.1.W")
    turned = [Direction(d.parameter, d.column, Q.T @ d.vector) for d in directions]
    steps = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    renderer = Renderer(model, 8)
    expected = rendered(renderer, directions, steps)
    torch.testing.assert_close(rendered(Renderer(other, 8), turned, steps), expected, rtol=0, atol=1e-12)
    unturned = rendered(Renderer(other, 8), directions, steps)
    assert (expected - renderer.base).abs().amax((1, 2, 3, 4)).gt(1e-3).sum() > 10
    assert (unturned - expected).abs().max() > 0.05


def test_a_rotated_basis_gives_the_same_distribution() -> None:
    """Of the size of the change, over random columns; single entries depend on the basis, and the test sees that."""
    model, other, _ = rotated()
    step = torch.tensor([1.0], dtype=torch.float64)

    def sizes(network: HookedCPPN, directions: list[Direction]) -> Tensor:
        renderer = Renderer(network, 8)
        return mean_square(rendered(renderer, directions, step) - renderer.base)[:, 0]

    columns = [d.column for d in random_directions(model, 1500, 0, parameters="layers.1.W")]
    assert set(columns) == set(range(9))
    one, two = (
        sizes(network, random_directions(network, 1500, seed, parameters="layers.1.W"))
        for network, seed in ((model, 1), (other, 2))
    )
    assert ks_2samp(one.numpy(), two.numpy()).pvalue > 0.01
    single = [sizes(m, single_entries(m, "all", parameters="layers.1.W")) for m in (model, other)]
    assert single[0].sort().values.sub(single[1].sort().values).abs().max() > 0.02
