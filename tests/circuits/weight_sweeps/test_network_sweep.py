"""Weight sweeps of any network: fast moves against the whole network run again, and networks whose answers are exact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import circuits
import interp
from circuits.weight_sweeps.directions import Direction, random_directions, single_entries
from circuits.weight_sweeps.factor_measures import MEASURES, Meter
from circuits.weight_sweeps.moves_of_model import moves_of
from circuits.weight_sweeps.network_sweep import NetworkSweep, Swept, network_sweep
from circuits.weight_sweeps.null_models import random_network, shuffled
from circuits.weight_sweeps.output_change import OutputChange, inner_products
from circuits.weight_sweeps.plain_moves import PlainMoves
from circuits.weight_sweeps.transformer_moves import TransformerMoves
from interp import HookedMLP, HookedTransformer, MLPConfig, ModularArithmetic, SparseParity, Subject, TransformerConfig
from interp.errors import InterpError, MissingCapability
from interp.groups import representations_of
from interp.hooked.base import HookedModel
from interp.subject import at_readout
from tests.circuits.cppns import dense
from tests.models import CONFIGS
from tests.models import subject as of_table

P = 11
SMALL = TransformerConfig(n_layers=1, d_model=16, n_heads=2, d_head=8, d_vocab=P + 1, d_vocab_out=P, n_ctx=3, d_mlp=24)
PLAIN = MLPConfig((13,), P, d_vocab=P, d_embed=9)


def transformer() -> Subject:
    """A random transformer of one layer without norms, in float64."""
    model = HookedTransformer(SMALL).init_weights(seed=0).cast(torch.float64)
    return Subject("transformer", model, ModularArithmetic(P))


def mlp(seed: int = 0, **changes: object) -> Subject:
    """A random MLP, in float64."""
    model = HookedMLP(replace(PLAIN, **changes)).init_weights(seed=seed).cast(torch.float64)
    return Subject("mlp", model, ModularArithmetic(P, equals_token=False))


@pytest.mark.parametrize("name", CONFIGS)
def test_moves_give_what_the_whole_network_gives(name: str) -> None:
    """Every kind of direction in every parameter, with all norms, combinations and biases."""
    subject = of_table(name)
    model, task = subject.model, subject.require_task()
    fast, slow = moves_of(model, task, task.inputs), PlainMoves(at_readout(model, task), task.inputs, task.read)
    drawn = [*random_directions(model, 40, seed=1), *single_entries(model, which="all", n=40)]
    for parameter, weight in model.named_parameters():
        if weight.ndim >= 2:
            drawn += random_directions(model, 2, parameters=parameter)
    drawn += [*random_directions(model, 3, span="layer"), *random_directions(model, 2, span="network")]
    for direction in drawn:
        found, expected = fast.change(direction, 0.7).dense(), slow.change(direction, 0.7).dense()
        size = max(1.0, float(slow.base.abs().max()), float(expected.abs().max()))
        assert (found - expected).abs().max() < 1e-12 * size, str(direction)


def test_rank_one_where_what_follows_is_linear() -> None:
    """Of a transformer without norms a neuron, the MLP's output and the unembedding change the outputs by rank one."""
    subject = transformer()
    task = subject.require_task()
    moves = moves_of(subject.model, task, task.inputs)
    assert isinstance(moves, TransformerMoves)
    for parameter in ("blocks.0.mlp.W_in", "blocks.0.mlp.W_out", "unembed.W_U"):
        (direction,) = random_directions(subject.model, 1, parameters=parameter)
        change = moves.change(direction, 0.3)
        assert change.right is not None
        assert change.left.shape[1] == 1


@pytest.mark.parametrize("rank", [1, 3])
def test_a_thin_change_measures_as_the_table_that_it_stands_for(rank: int) -> None:
    """Every measure, and the inner products, of ``left @ right`` and of the product itself."""
    subject = mlp()
    draw = torch.Generator().manual_seed(0)
    pairs = [
        (torch.randn(P * P, rank, generator=draw).double(), torch.randn(rank, P, generator=draw).double())
        for _ in range(3)
    ]
    thin = [OutputChange(*pair).centred() for pair in pairs]
    full = [OutputChange(change.dense()) for change in thin]
    meter = Meter.of(subject, subject.logits())
    for one, other in zip(thin, full, strict=True):
        found, expected = meter.measure(one), meter.measure(other)
        assert found.values == pytest.approx(expected.values, nan_ok=True)
        assert torch.allclose(found.input_power, expected.input_power)
    expected = inner_products(full)
    for mixed in (thin, [thin[0], full[1], thin[2]]):
        assert torch.allclose(inner_products(mixed), expected)


def test_measures_by_fourier_transform() -> None:
    """Factors and equivariant share of a real change, by numpy's FFT and by a loop over all translations."""
    subject = transformer()
    found = network_sweep(subject, random_directions(subject.model, 3, seed=4))
    moves = moves_of(subject.model, subject.require_task(), subject.require_task().inputs)
    for i, direction in enumerate(found.directions):
        change = moves.change(direction, 0.3).dense()
        D = (change - change.mean(-1, keepdim=True)).reshape(P, P, P).numpy()

        def touched(axis: int, D: np.ndarray = D) -> float:
            power = (np.abs(np.fft.fft(D, axis=axis)) ** 2).sum(tuple(k for k in range(3) if k != axis))
            q = np.array([power[k] + power[P - k] for k in range(1, P // 2 + 1)])
            q /= q.sum()
            return float(np.exp(-(q * np.log(q)).sum()))

        kept = np.mean([np.roll(D, (-s, -t, -s - t), (0, 1, 2)) for s in range(P) for t in range(P)], axis=0)
        row = found.measured.iloc[i]
        assert row["input_factors"] == pytest.approx((touched(0) + touched(1)) / 2)
        assert row["output_factors"] == pytest.approx(touched(2))
        assert row["equivariant_share"] == pytest.approx((kept**2).sum() / (D**2).sum())
        energy = (D**2).sum(2)
        assert row["extent"] == pytest.approx(energy.sum() ** 2 / (P * P * (energy**2).sum()))
        assert row["mean_square"] == pytest.approx((D**2).mean())


class Cosines(nn.Module):
    """Modular addition as its textbook has it: neurons cos and sin of w_k (a + b), read by cos and sin of w_k c."""

    def __init__(self, keys: tuple[int, ...]):
        super().__init__()
        angle = 2 * math.pi * torch.arange(P, dtype=torch.float64) / P
        waves = torch.stack([wave(k * angle) for k in keys for wave in (torch.cos, torch.sin)])
        self.waves = nn.Buffer(waves)
        self.scale = nn.Parameter(torch.eye(len(keys), dtype=torch.float64))  # which frequency feeds which
        self.W_U = nn.Parameter(waves.clone())

    def forward(self, tokens: Tensor) -> Tensor:
        neurons = self.waves.T[tokens.sum(-1) % P].unflatten(-1, (-1, 2))
        return (torch.einsum("nkw,kj->njw", neurons, self.scale)).flatten(1) @ self.W_U


class Table(nn.Module):
    """Modular addition by heart: a row of logits for each pair."""

    def __init__(self) -> None:
        super().__init__()
        a = torch.arange(P)
        answers = ((a[:, None] + a) % P).flatten()
        self.rows = nn.Parameter(nn.functional.one_hot(answers, P).double())

    def forward(self, tokens: Tensor) -> Tensor:
        return self.rows[tokens[:, 0] * P + tokens[:, 1]]


def wrapped(module: nn.Module) -> Subject:
    task = ModularArithmetic(P, equals_token=False)
    return Subject("by hand", interp.wrap(module, task.inputs[:2]), task)


def values(frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy(dtype=float)


def entry(parameter: str, row: int, column: int, rows: int) -> Direction:
    return Direction(parameter, column, torch.eye(rows, dtype=torch.float64)[row], row)


def test_a_network_of_cosines_moves_one_factor_per_neuron() -> None:
    """The strength of a frequency: one factor on both sides, fully equivariant. A single reading of it: 1 / (p - 1)."""
    subject = wrapped(Cosines((2, 3)))
    strength = [entry("module.scale", k, k, 2) for k in range(2)]
    reading = [entry("module.W_U", neuron, 5, 4) for neuron in range(4)]
    found = network_sweep(subject, [*strength, *reading]).measured
    assert values(found, "input_factors") == pytest.approx(np.ones(6))
    assert values(found, "output_factors")[:2] == pytest.approx(np.ones(2))
    assert values(found, "equivariant_share")[:2] == pytest.approx(np.ones(2))
    assert values(found, "equivariant_share")[2:] == pytest.approx(np.full(4, 1 / (P - 1)))
    assert values(found, "key_share") == pytest.approx(np.ones(6))
    assert values(found, "output_factors")[2:] == pytest.approx(np.full(4, P // 2))  # one answer holds all frequencies


def test_a_table_touches_every_factor() -> None:
    """One entry of a memorised table: all frequencies on both sides, and no more symmetry than chance, 1 / p^2."""
    subject = wrapped(Table())
    found = network_sweep(subject, [entry("module.rows", row, 4, P * P) for row in (0, 17, 100)])
    assert values(found.measured, "input_factors") == pytest.approx(np.full(3, P // 2))
    assert values(found.measured, "output_factors") == pytest.approx(np.full(3, P // 2))
    assert values(found.measured, "equivariant_share") == pytest.approx(np.full(3, 1 / P**2))
    assert found.meter.symmetry is not None
    assert found.meter.symmetry.expected_share(centred=True) == pytest.approx(1 / P**2)
    assert values(found.measured, "extent") == pytest.approx(np.full(3, 1 / P**2))


class Matrices(nn.Module):
    """S_3 as its textbook has it: logits tr rho(a) rho(b) rho(c)^T, the strength of each representation a weight."""

    def __init__(self, table: Tensor):
        super().__init__()
        group = representations_of(table)
        waves = [torch.einsum("aij,bjk,cik->abc", *[group.matrices(name)] * 3) for name in group.names]
        self.waves = nn.Buffer(torch.stack(waves).flatten(1, 2))
        self.strength = nn.Parameter(torch.ones(len(waves), 1, dtype=torch.float64))
        self.order = len(table)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.einsum("rw,rnc->nc", self.strength, self.waves[:, tokens[:, 0] * self.order + tokens[:, 1]])


def test_a_group_by_its_matrices() -> None:
    """The strength of a representation of S_3 moves that representation alone, and respects both translations."""
    task = interp.GroupComposition("S_3", equals_token=False)
    module = Matrices(torch.tensor(task.table))
    subject = Subject("matrices", interp.wrap(module, task.inputs[:2]), task)
    found = network_sweep(subject, [entry("module.strength", r, 0, 3) for r in (1, 2)])  # sign and standard
    assert values(found.measured, "input_factors") == pytest.approx(np.ones(2))
    assert values(found.measured, "output_factors") == pytest.approx(np.ones(2))
    assert values(found.measured, "equivariant_share") == pytest.approx(np.ones(2))
    names = found.meter.factors.names
    assert [names[int(k)] for k in found.power.argmax(1)] == ["sign", "standard"]


def test_parity_by_two_units() -> None:
    """x_1 x_2 = relu(x_1 + x_2) + relu(-x_1 - x_2) - 1: a unit holds 1, x_1, x_2 and x_1 x_2 in equal parts."""
    task = SparseParity(4, 2)
    model = HookedMLP(MLPConfig((2,), 1, d_in=4, bias=False, unembed_bias=True)).cast(torch.float64)
    with torch.no_grad():
        model.layer(0).W.copy_(torch.tensor([[1.0, -1], [1, -1], [0, 0], [0, 0]]))
        model.W_U.fill_(1)
        dict(model.named_parameters())["unembed.b_U"].fill_(-1)
    found = network_sweep(Subject("two units", model, task), [entry("unembed.W_U", unit, 0, 2) for unit in range(2)])
    assert values(found.measured, "input_factors") == pytest.approx(np.full(2, 3.0))
    assert values(found.measured, "key_share") == pytest.approx(np.full(2, 1 / 3))
    assert values(found.measured, "equivariant_share") == pytest.approx(np.full(2, 1 / 4))
    assert found.measured["output_factors"].isna().all()


def test_random_columns_do_not_see_the_basis() -> None:
    """After an orthonormal change of the hidden layer's input basis a column moves the outputs as its image did before."""
    model = HookedMLP(replace(PLAIN, combine="sum")).init_weights(seed=0).cast(torch.float64)
    Q, _ = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    turned = HookedMLP.from_weights(model.config, {**model.state_dict(), "embed.W_E": model.W_E @ Q,
                                                   "layers.0.W": Q.T @ model.layer(0).W})  # fmt: skip
    task = ModularArithmetic(P, equals_token=False)
    drawn = random_directions(model, 20, parameters="layers.0.W")
    images = [replace(d, vector=Q.T @ d.vector) for d in drawn]
    one, other = network_sweep(Subject("a", model, task), drawn), network_sweep(Subject("b", turned, task), images)
    for name in ("mean_square", *MEASURES):
        assert values(one.measured, name) == pytest.approx(values(other.measured, name), nan_ok=True)
    for name, score in one.scores().items():
        assert score.value == pytest.approx(other.scores()[name].value)


def test_matched_effects_are_equal_whatever_the_step() -> None:
    """Every direction reaches the effect to one per cent; a network whose last weights are scaled needs the same steps."""
    subject = mlp()
    drawn = random_directions(subject.model, 30)
    chosen, steps = circuits.matched_steps(subject, drawn, effect=0.2)
    found = circuits.sweep(subject, chosen, steps)
    assert isinstance(found, NetworkSweep)
    effects = (values(found.measured, "mean_square") / found.variance) ** 0.5
    assert len(chosen) > 20
    assert effects == pytest.approx(np.full(len(effects), 0.2), rel=0.011)
    further, longer = circuits.matched_steps(subject, [replace(d, vector=d.vector * 3) for d in chosen], effect=0.2)
    again = circuits.sweep(subject, further, longer)
    for name, score in found.scores().items():
        assert score.value == pytest.approx(again.scores()[name].value, rel=0.05)


@pytest.mark.parametrize("steps", [[], "1", ["a"], [math.nan], [math.inf], 0.3, [[0.1], [0.2], [0.3]]])
def test_steps_that_are_no_steps_are_refused(steps: object) -> None:
    """None at all would be a sweep of nothing."""
    for one in (mlp(), dense()):
        drawn = random_directions(one if isinstance(one, HookedModel) else one.model, 2)
        for measure in (circuits.sweep, circuits.loss_sweep):
            if measure is circuits.sweep or isinstance(one, Subject):
                with pytest.raises(InterpError, match="steps are"):
                    measure(one, drawn, steps)  # type: ignore[arg-type]


def test_a_search_for_steps_stays_in_its_range() -> None:
    """And needs one: an effect that is not above 0, or no range, is refused."""
    subject = mlp()
    drawn = random_directions(subject.model, 10)
    for low, high in ((1e-4, 0.1), (0.5, 64.0)):
        chosen, steps = circuits.matched_steps(subject, drawn, effect=0.02 if high < 1 else 0.5, low=low, high=high)
        assert chosen
        assert bool(((steps >= low) & (steps <= high)).all())
    for options, message in (
        ({"effect": 0.0}, "effect must be a finite number above 0"), ({"effect": "1"}, "effect must be a finite number"),
        ({"low": 0}, "low must be a finite number above 0"), ({"low": 2.0, "high": 1.0}, "must lie below the largest"),
    ):  # fmt: skip
        for one in (subject, dense()):
            with pytest.raises(InterpError, match=message):
                circuits.matched_steps(one, [], **options)  # type: ignore[arg-type]


def test_intervals_of_random_networks_cover_their_spread() -> None:
    """Of 20 random networks, the interval of most holds the median over all of them."""
    scores = []
    for seed in range(20):
        subject = mlp(seed)
        scores.append(circuits.sweep(subject, random_directions(subject, 40, seed=seed)).scores())
    for name in ("input_factors", "output_factors", "extent"):
        centre = float(np.median([s[name].value for s in scores]))
        assert sum(s[name].low <= centre <= s[name].high for s in scores) >= 15, name


def test_null_models_are_of_the_same_form() -> None:
    """Shuffled weights keep their values; a random network keeps the shape; a wrapped module knows only how to shuffle."""
    subject = transformer()
    mixed, fresh = shuffled(subject, 1), random_network(subject, 1)
    for name, weight in subject.model.named_parameters():
        there = dict(mixed.named_parameters())[name]
        assert torch.equal(weight.flatten().sort().values, there.flatten().sort().values)
        assert dict(fresh.named_parameters())[name].shape == weight.shape
    own = wrapped(Table())
    for before, after in ((subject.model, mixed), (own.model, shuffled(own))):
        assert not all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    with pytest.raises(InterpError, match="build one anew"):
        random_network(own)


def test_what_does_not_fit_memory_is_left_out_of_the_rank() -> None:
    """With few bytes every second, third, ... direction is kept, and the result says so; float32 gives the same."""
    subject = mlp()
    drawn = random_directions(subject.model, 12)
    whole, part = network_sweep(subject, drawn), network_sweep(subject, drawn, max_bytes=5 * P**3 * 8)
    assert len(part.kept_rows()) == 4
    assert "every 3th" not in " ".join(whole.notes)
    assert "max_bytes" in " ".join(part.notes)
    pd.testing.assert_frame_equal(part.measured, whole.measured)
    coarse = network_sweep(subject, drawn, dtype="float32")
    assert values(coarse.measured, "input_factors") == pytest.approx(values(whole.measured, "input_factors"), rel=1e-4)


def test_without_factors_the_principal_components_serve() -> None:
    """Digits have no symmetry: factors are the clean outputs' principal components, of which every one is orthonormal."""
    inputs, labels = torch.randn(50, 6), torch.arange(50) % 4
    model = HookedMLP(MLPConfig((8,), 4, d_in=6)).init_weights(seed=0)
    subject = Subject("examples", model, interp.Examples(inputs, labels))
    found = network_sweep(subject, random_directions(model, 20))
    assert found.meter.factors.kind == "principal component"
    assert found.meter.symmetry is None
    scores = found.scores()
    assert "equivariant_share" not in scores
    assert 1 <= scores["input_factors"].value <= 3  # the mean of four outputs is not seen
    assert 1 <= scores["output_factors"].value <= 3


def test_results_show_themselves(tmp_path: object) -> None:
    """Table, summary, figure and the heat map's numbers by parameter."""
    subject = transformer()
    found = network_sweep(subject, random_directions(subject.model, 20))
    assert list(found.table.columns[:7]) == ["component", "site", "index", "metric", "clean", "changed", "change"]
    assert found.by_layer.sum(axis=1).to_numpy() == pytest.approx(np.ones(len(found.by_layer)))
    assert "input_factors" in repr(found)
    assert found.figure().data
    assert {"directions", "changes", "counted", "input_factors"} <= set(found.summary)


def test_bad_input_is_refused() -> None:
    """No task, a direction of another network, no directions, and hooks on the model."""
    subject = mlp()
    drawn = random_directions(subject.model, 2)
    with pytest.raises(MissingCapability, match="needs a task"):
        circuits.sweep(subject.model, drawn)
    with pytest.raises(InterpError, match="no such parameter"):
        circuits.sweep(transformer(), drawn)
    with pytest.raises(InterpError, match="at least one direction"):
        circuits.sweep(subject, [])
    with (
        subject.model.hooks([("hook_logits", lambda x, hook: x)]),
        pytest.raises(InterpError, match="hooks are installed"),
    ):
        circuits.sweep(subject, drawn)


def test_a_sweep_is_reused_between_calls() -> None:
    """`Swept` runs the clean network once; its sweeps are those of the subject."""
    subject = mlp(hidden=(13, 9))
    drawn = random_directions(subject.model, 5)
    pd.testing.assert_frame_equal(network_sweep(Swept(subject), drawn).measured, network_sweep(subject, drawn).measured)
