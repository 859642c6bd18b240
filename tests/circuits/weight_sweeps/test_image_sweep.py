"""Sweeps: their tables against a naive loop, scores, films, matched steps, nulls, and the published medians."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import interp
from circuits.analyses.picture_sweeps import SHOWN
from circuits.analyses.sweep_scores import KINDS
from circuits.analyses.sweeps import sweeps
from circuits.compression.prune_image import drop_links
from circuits.weight_sweeps import image_sweep as sweeps_module
from circuits.weight_sweeps.change_measures import MEASURES
from circuits.weight_sweeps.directions import Direction, random_directions, single_entries
from circuits.weight_sweeps.image_sweep import Sweep, matched_steps, sweep
from circuits.weight_sweeps.null_models import random_network, shuffled
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.pictures import Picture
from interp.subject import Subject
from tests import models
from tests.circuits.cppns import dense, naive, naive_picture, of_weights, sparse

STEPS = (-1.0, 0.0, 0.5)


def directions_of(model: HookedCPPN) -> list[Direction]:
    return [*single_entries(model, n=15), *random_directions(model, 6), *random_directions(model, 2, span="network")]


def naive_changes(model: HookedCPPN, directions: list[Direction], steps: Tensor, size: int) -> Tensor:
    return naive(model, directions, steps, size) - naive_picture(model, model.matrices, size)


@pytest.mark.parametrize("make", [dense, sparse])
def test_table_equals_the_loop(make: type) -> None:
    model = make()
    directions, done, seen = directions_of(model), [], set()
    found = sweep(model, directions, STEPS, 8, lambda n, of: (done.append(n), seen.add(of)))
    changes = naive_changes(model, directions, torch.tensor(STEPS), 8).flatten(0, 1)
    table = found.table
    np.testing.assert_allclose(table["mean_square"], changes.square().mean((1, 2, 3)), rtol=1e-9, atol=1e-20)
    counted = (table["mean_square"] >= 1e-4).to_numpy()
    assert 5 < counted.sum() < len(table)  # steps of 0 are not
    for name, measure in MEASURES.items():
        np.testing.assert_allclose(table[name][counted], measure(changes[torch.tensor(counted)]), rtol=1e-8, atol=1e-12)
    assert found.counted().index.tolist() == counted.nonzero()[0].tolist()
    assert table["direction"].tolist() == [i for i in range(len(directions)) for _ in STEPS]
    assert table["step"].tolist() == [*STEPS] * len(directions)
    assert table["name"].tolist() == [str(d) for d in directions for _ in STEPS]
    names = [None, *(n for n, _ in model.named_parameters())]
    assert table["layer"].tolist() == [names.index(d.parameter) - 1 for d in directions for _ in STEPS]
    assert (done, done[-1]) == (sorted(done), len(directions))
    assert seen == {len(directions)}


def rank_share(changes: Tensor) -> float:
    unit = changes.flatten(1).numpy()
    q = np.linalg.svd(unit / np.linalg.norm(unit, axis=1, keepdims=True), compute_uv=False) ** 2
    q = q[q > 0] / q.sum()
    return math.exp(-(q * np.log(q)).sum()) / len(changes)


def test_scores_of_all_changes() -> None:
    """Medians over the counted changes alone, by NumPy; the rank by singular values; each within its interval."""
    model = dense()
    directions = directions_of(model)
    found = sweep(model, directions, STEPS, 8)
    scores = found.scores()
    assert set(scores) == {*MEASURES, "change_rank_share"}
    changes = naive_changes(model, directions, torch.tensor(STEPS), 8).flatten(0, 1)
    changes = changes[changes.square().mean((1, 2, 3)) >= 1e-4]
    for name, measure in MEASURES.items():
        assert scores[name].value == pytest.approx(np.median(measure(changes)), rel=1e-8)
        assert scores[name].low <= scores[name].value <= scores[name].high
    assert scores["change_rank_share"].value == pytest.approx(rank_share(changes), rel=1e-6)
    assert "change_rank_share" in repr(found)


def test_scores_at_a_fixed_number() -> None:
    """Changes of whole directions: of two changes, those of one direction; of all where there are fewer."""
    found = sweep(dense(), random_directions(dense(), 12), (-1.0, 1.0), 8)
    assert len(found.counted()) == 24
    pairs = found.table["roughness"].to_numpy().reshape(-1, 2).mean(1)
    drawn = {round(found.scores(2, seed)["roughness"].value, 6) for seed in range(8)}
    assert len(drawn) > 1
    assert drawn <= {round(p, 6) for p in pairs}
    assert found.scores(3, 0)["roughness"].value in [pytest.approx(p) for p in pairs]
    assert found.scores(1) == {}  # not one whole direction
    assert found.scores(1000, 1) == found.scores(24, 1)
    few = np.mean([found.scores(8, seed)["change_rank_share"].value for seed in range(8)])
    assert few > found.scores()["change_rank_share"].value  # it falls with the number: only equal numbers compare


def test_changes_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long sweep keeps the changes of every few directions alone; the table has all of them."""
    model, directions = dense(), random_directions(dense(), 12)
    whole = sweep(model, directions, (-1.0, 1.0), 8)
    monkeypatch.setattr(sweeps_module, "KEPT_BYTES", 9 * 3 * 64 * 8)
    thinned = sweep(model, directions, (-1.0, 1.0), 8)
    assert thinned.table.equals(whole.table)
    chosen = [d for i, d in enumerate(directions) if i % 3 == 0]
    changes = naive_changes(model, chosen, torch.tensor([-1.0, 1.0]), 8).flatten(0, 1)
    assert thinned.scores()["change_rank_share"].value == pytest.approx(rank_share(changes), rel=1e-6)


def test_where_nothing_changes() -> None:
    model = dense()
    with torch.no_grad():
        model.W_U.zero_()
    found = sweep(model, random_directions(model, 8, parameters="layers.1.W"), (-1.0, 1.0), 8)
    assert (found.settled, found.scores(), len(found.counted())) == (8, {}, 0)
    assert not found.table["mean_square"].any()
    assert "0 of 16 changes" in repr(found)
    with pytest.raises(InterpError, match="no direction of the sweep"):
        found.by_effect(0.5)
    assert isinstance(found.film(0, size=16), Picture)  # black, seven times
    with pytest.raises(InterpError, match="at least one"):
        sweep(model, [])


def test_films() -> None:
    """Seven steps by default, tile by tile what the changed network draws; a direction that is none is refused."""
    model = dense()
    found = sweep(model, directions_of(model), (-1.0, 0.5), 8)
    film = found.film(-1, size=16)
    assert film.size[0] > 16
    assert film.size[1] >= 7 * 16
    narrow = found.film(3, steps=[0.0, 1.5], size=16)
    assert 2 * 16 <= narrow.size[1] < film.size[1]
    expected = naive(model, [found.directions[3]], torch.tensor([0.0, 1.5]), 16)[0].permute(0, 2, 3, 1)
    shown = narrow.pixels.double()
    windows = shown.unfold(0, 16, 1).unfold(1, 16, 1).permute(0, 1, 3, 4, 2)  # every place of a tile
    for tile in expected:
        assert float((windows - tile).abs().amax((2, 3, 4)).min()) <= 0.51 / 255
    for i in (len(found.directions), -len(found.directions) - 1):
        with pytest.raises(InterpError, match="the sweep has .* directions, 0 to"):
            found.film(i)


def test_by_effect() -> None:
    """From the least counted change to the largest, by the larger of each direction's two."""
    found = sweep(dense(), single_entries(dense(), n=40), (-1.0, 1.0), 8)
    largest = found.table.groupby("direction")["mean_square"].max()
    order = [found.by_effect(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    sizes = [largest[i] for i in order]
    assert sizes == sorted(sizes)
    assert sizes[-1] == largest.max()
    assert sizes[0] == largest[largest >= 1e-4].min()
    with pytest.raises(InterpError, match="share must be between 0 and 1, got 1.5"):
        found.by_effect(1.5)


@pytest.mark.parametrize("effect", [0.03, 0.1])
def test_matched_steps_reach_the_effect(effect: float) -> None:
    """Back and forth, in the loop's own pictures; those left out do not reach it within the range."""
    model = dense("3;cache:2,gaussian:2,sin:2", scale=1.0)
    directions = [*single_entries(model, n=10), *random_directions(model, 8)]
    chosen, steps = matched_steps(model, directions, effect, size=12)
    assert steps.shape == (len(chosen), 2)
    assert len(chosen) >= 10
    assert (steps * torch.tensor([-1, 1]) > 0).all()
    sizes = naive_changes(model, chosen, steps, 12).square().mean((2, 3, 4)).sqrt()
    torch.testing.assert_close(sizes, torch.full_like(sizes, effect), rtol=0.1, atol=0)
    quiet, _ = matched_steps(model, directions, effect, size=12, high=2e-3)
    assert quiet == []


def test_matched_steps_beyond_the_ladder() -> None:
    """A network that moves more at the least step has no matched step there, or a smaller."""
    first, last = torch.zeros(4, 1, dtype=torch.float64), torch.tensor([[0.0, 0.0, 1000.0]], dtype=torch.float64)
    model = of_weights("1;identity:1", [first, last])
    directions = single_entries(model, "all", parameters="layers.0.W")
    chosen, steps = matched_steps(model, directions, 0.1, size=12)
    if chosen:
        sizes = naive_changes(model, chosen, steps, 12).square().mean((2, 3, 4)).sqrt()
        torch.testing.assert_close(sizes, torch.full_like(sizes, 0.1), rtol=0.1, atol=0)


def test_nulls() -> None:
    """Shuffled: every matrix's entries as a multiset, at other places; random: the same arch, cut at two deviations."""
    model = sparse()
    for make in (shuffled, random_network):
        one, again, other = make(model, 1), make(model, 1), make(model, 2)
        assert one.config == model.config
        assert (one.dtype, one.device) == (model.dtype, model.device)
        for a, b, c, W in zip(one.matrices, again.matrices, other.matrices, model.matrices, strict=True):
            assert torch.equal(a, b)
            assert not torch.equal(a, c)
            assert not torch.equal(a, W)
            if make is shuffled:
                assert torch.equal(a.flatten().sort().values, W.flatten().sort().values)
            else:
                assert (a != 0).all()
                assert a.abs().max() < 2.3 / len(W) ** 0.5
    moved = torch.stack([shuffled(model, seed).matrices[1] != 0 for seed in range(200)]).double().mean(0)
    density = float((model.matrices[1] != 0).double().mean())
    assert (moved - density).abs().max() < 5 * (density * (1 - density) / 200) ** 0.5  # every place alike


def test_analysis() -> None:
    """Metric names, a headline with the nulls, tables with one row per sweep; the comparison says what differs."""
    results = {}
    for name, seed in (("first", 0), ("second", 1)):
        subject = Subject(name, dense("2;cache:1,gaussian:2,sin:2", seed))
        result = results[name] = sweeps(subject, n=20, directions=15, n_random=1, size=16)
        expected = {f"{k}_{s}{end}" for k in KINDS for s in SHOWN for end in ("", "_interval")}
        expected |= {f"{k}_{s}" for k in KINDS for s in ("changes", "median_effect")}
        expected.add("picture_antisymmetric_share")
        assert set(result.metrics) == expected
        assert all(
            text in result.headline for text in ("single weights 0.", "random directions 0.", "shuffled weights 0.")
        )
        assert result.headline.startswith("Median antisymmetric share of output change: ")
        scores = result.tables["scores"]
        assert set(scores["null"]) == {"", "shuffled 0", "random network 0"}
        own = scores.query("null == '' and kind == 'random' and at == 'one step'")["antisymmetric_share"].item()
        assert own == result.metrics["random_antisymmetric_share"]
        assert result.pictures["films"].size[1] > 7 * 96
        assert len(result.tables["single changes"]) == 30
    assert sweeps.comparison is not None
    headline = sweeps.comparison(results).headline
    assert headline.startswith("second against first: ")
    assert headline.count("antisymmetric share") == 2


def test_a_subject_does_and_other_networks_do_not() -> None:
    """Every door takes the Subject of an image network, and says what it needs instead of another one."""
    model = sparse("1;sin:3", 0, 0.5)
    one, other = Subject("picture", model), models.subject("plain")
    drawn = single_entries(one)
    assert [str(d) for d in drawn] == [str(d) for d in single_entries(model)]
    assert all(
        torch.equal(a.vector, b.vector)
        for a, b in zip(random_directions(one, 3), random_directions(model, 3), strict=True)
    )
    assert sweep(one, drawn, size=8).rows.equals(sweep(model, drawn, size=8).rows)
    assert torch.equal(matched_steps(one, drawn, size=8)[1], matched_steps(model, drawn, size=8)[1])
    for null in (shuffled, random_network):
        assert all(torch.equal(a, b) for a, b in zip(null(one).matrices, null(model).matrices, strict=True))
    for call in (lambda x: sweep(x, drawn), lambda x: matched_steps(x, drawn), drop_links):
        for wrong in (other, other.model):
            with pytest.raises(InterpError, match="image network .HookedCPPN. is needed, got a HookedTransformer"):
                call(wrong)
        with pytest.raises(InterpError, match="interp.load"):
            call("a/path")
    with pytest.raises(InterpError, match="interp.wrap"):
        random_directions(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


def test_the_protocol_of_a_sweep(tmp_path: Path) -> None:
    """A tidy table that has the measures too, a summary with every score, a figure, and a file."""
    found = sweep(dense("1;sin:3"), single_entries(dense("1;sin:3")), size=8)
    assert found.table["changed"].equals(found.rows["mean_square"].rename("changed"))
    assert set(found.table["site"]) == {"layers.0.W", "unembed.W_U"}
    assert {"antisymmetric_share", "change_rank_share", "counted"} <= set(found.summary)
    assert len(found.figure().data[0].x) == len(found.counted())
    assert found.save(tmp_path / "sweep.csv").read_text().startswith("component,site,index,metric,clean,changed,change")


# medians of single entries and random columns: antisymmetric share, then effective rank share
PUBLISHED = {
    "skull": {"picbreeder": ((0.16, 0.23), (0.11, 0.17)), "sgd": ((0.40, 0.39), (0.51, 0.49))},
    "butterfly": {"picbreeder": ((0.16, 0.24), (0.17, 0.24)), "sgd": ((0.43, 0.43), (0.54, 0.52))},
}


def real_sweeps(path: Path, n: int) -> tuple[Sweep, Sweep]:
    model = interp.load(path, device="cpu").model
    assert isinstance(model, HookedCPPN)
    return sweep(model, single_entries(model, n=n)), sweep(model, random_directions(model, n))


@pytest.mark.real_data
@pytest.mark.parametrize("image", list(PUBLISHED))
def test_published_medians(image: str, data: Path) -> None:
    """Within 0.08 of what was measured; the evolved network lower in each, with intervals that do not overlap."""
    scores = {}
    for network, medians in PUBLISHED[image].items():
        both = real_sweeps(data / "picbreeder" / f"{network}_{image}.npz", 200 if network == "picbreeder" else 76)
        for kind, (found, share, rank) in enumerate(zip(both, *medians, strict=True)):
            own = scores[network, kind] = found.scores(150)
            assert own["antisymmetric_share"].value == pytest.approx(share, abs=0.08)
            assert own["change_rank_share"].value == pytest.approx(rank, abs=0.08)
    for kind in (0, 1):
        for name in ("antisymmetric_share", "change_rank_share"):
            assert scores["picbreeder", kind][name].high < scores["sgd", kind][name].low


def test_dead_directions_by_a_count() -> None:
    """Those along which no step reaches the bound, with Wilson's interval; at a lower bound there are fewer."""
    model = sparse()
    found = sweep(model, [*single_entries(model, n=40), *random_directions(model, 20)], (-1.0, 0.5), 8)
    largest = found.measured.groupby("direction")["mean_square"].max().to_numpy()
    assert 0 < (largest < 1e-4).sum() < len(largest)
    for least in (1e-12, 1e-4, 1e-2):
        dead = int((largest < least).sum())
        score = found.dead_share(least)
        assert score.value == dead / 60
        low, high = proportion(dead, 60)
        assert (score.low, score.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert found.dead_share() == found.dead_share(1e-4)
    with pytest.raises(InterpError, match="smallest"):
        found.dead_share(0.0)


def proportion(count: int, total: int) -> tuple[float, float]:
    """The shares that a count would not reject, as the roots of Wilson's quadratic equation."""
    z2 = 1.959963984540054**2
    low, high = sorted(np.roots([total + z2, -(2 * count + z2), count**2 / total]).tolist())
    return low, high
