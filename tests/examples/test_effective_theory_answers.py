"""The rules by which tables of long runs answer the claims of Liu et al., on tables made by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"
LETTERS = {"C": "comprehension", "G": "grokking", "M": "memorization", "X": "confusion"}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("answers.effective_theory")


@pytest.fixture
def rules(answers: Any) -> Any:
    return importlib.import_module("answers.effective_theory_rules")


@pytest.fixture
def structure(answers: Any) -> Any:
    return importlib.import_module("answers.effective_theory_structure")


def grid(*rows: str, seed: int = 1) -> pd.DataFrame:
    """A diagram: a row per decay, a letter per rate; both sides of the threshold alike."""
    cells = [(x, y, LETTERS[c]) for y, row in enumerate(rows) for x, c in enumerate(row)]
    table = pd.DataFrame(cells, columns=["decoder_lr", "decoder_weight_decay", "above"])
    return table.assign(at_least=table["above"], seed=seed, steps=100_000)


def test_four_phases_and_what_grokking_lies_beside(rules: Any) -> None:
    """A grokking cell touches others along an edge, not at a corner."""
    rule = rules.between()
    assert rule(grid("CGM", "CGX"), "above") is True
    assert rule(grid("CXM", "XGX"), "above") == "in part"
    assert rule(grid("CCM", "CXM"), "above") is False


def test_sides_that_differ_leave_a_diagram_undecided(rules: Any) -> None:
    table = pd.concat([grid("CGM", "CGX"), grid("CGM", "CGX", seed=7)])
    assert rules.settled(rules.by_choice(table, rules.between(), pooled=False)) == {"holds": True}
    table.loc[table["above"] == "grokking", "at_least"] = "comprehension"
    found = rules.settled(rules.by_choice(table, rules.between(), pooled=False))
    assert found == {"holds": "undecided", "note": "Of 4 choices of train set and side: holds 2, does not hold 2"}


def test_batches_scales_and_decays_are_compared(answers: Any, rules: Any) -> None:
    """By the interval of the difference of the shares, over networks of all train sets."""

    def of(column: str, counts: dict[float, int], n: int) -> pd.DataFrame:
        rows = [
            (value, "comprehension" if k < hits else "confusion") for value, hits in counts.items() for k in range(n)
        ]
        return pd.DataFrame(rows, columns=[column, "above"]).assign(at_least="confusion", seed=1)

    rule = rules.compared("batch_size", lambda b: b == 45, lambda b: b == 5)
    assert rule(of("batch_size", {5: 1, 45: 9}, 10), "above") is True
    assert rule(of("batch_size", {5: 9, 45: 1}, 10), "above") is False
    few = of("batch_size", {5: 0, 45: 1}, 4)
    assert rules.by_choice(few, rule, pooled=True) == {"above": "undecided", "at least": "undecided"}
    assert answers.shares(few, "batch_size", {"comprehension"}).endswith("5: 0 and 0 of 4, 45: 1 and 0 of 4")

    def paired(counts: dict[float, int], n: int) -> pd.DataFrame:
        """The n-th network of each decay has the n-th decoder rate."""
        table = of("embedding_weight_decay", counts, n)
        return table.assign(decoder_lr=table.groupby("embedding_weight_decay").cumcount())

    assert rules.decay(paired({0.0: 20, 1.0: 21}, 49), "above") is True  # one pair differs: 2% [-2%, 6%]
    assert rules.decay(paired({0.0: 20, 1.0: 30}, 49), "above") is False
    assert rules.decay(paired({0.0: 3, 1.0: 4}, 7), "above") == "undecided"
    assert rules.decay(paired({0.0: 3, 1.0: 4}, 7).sample(frac=1, random_state=0), "above") == "undecided"


def rates_table(ratios: dict[float, tuple[int, int]], n: int) -> pd.DataFrame:
    """``n`` networks per ratio of the rates, of which some comprehend, at that many steps; the others never generalise."""
    rows = [
        (1e-5 * ratio, 1e-5, "comprehension" if k < hits else "memorization", step if k < hits else None)
        for ratio, (hits, step) in ratios.items()
        for k in range(n)
    ]
    table = pd.DataFrame(rows, columns=["embedding_lr", "decoder_lr", "above", "test_above"])
    return table.assign(at_least=table["above"], test_at_least=table["test_above"], seed=1, steps=100_000)


def test_embeddings_that_are_too_fast(rules: Any) -> None:
    """Fewer that comprehend at ratios of 300 and above; ratios of 1 and below do not count. Late: all of them, and later."""
    assert rules.too_fast(rates_table({0.1: (0, 0), 10: (20, 500), 1000: (2, 9_000)}, 20), "above") is True
    assert rules.too_fast(rates_table({10: (2, 500), 1000: (20, 9_000)}, 20), "above") is False
    assert rules.too_fast(rates_table({10: (2, 500), 1000: (1, 500)}, 3), "above") == "undecided"
    assert rules.late(rates_table({0.1: (20, 90_000), 10: (20, 500), 1000: (20, 9_000)}, 20), "above") is True
    assert rules.late(rates_table({10: (20, 500), 1000: (15, 9_000)}, 20), "above") == "in part"
    assert rules.late(rates_table({10: (20, 500), 1000: (15, 500)}, 20), "above") == "in part"  # never is late
    assert rules.late(rates_table({10: (10, 9_000), 1000: (19, 500)}, 20), "above") is False


def test_corners_on_the_right(rules: Any) -> None:
    """The commonest phase there; slower decoders and decays between do not count."""
    cells = [
        (1e-3, 0, "C"),
        (1e-2, 0, "M"),
        (5e-3, 2, "M"),
        (1e-2, 5, "G"),
        (1e-2, 8, "X"),
        (5e-3, 10, "X"),
        (5e-3, 9, "M"),
    ]
    table = pd.DataFrame(cells, columns=["decoder_lr", "decoder_weight_decay", "above"]).replace(LETTERS)
    assert rules.corner("memorization", decayed=False, largest=10)(table, "above") is True
    assert rules.corner("confusion", decayed=True, largest=10)(table, "above") is True
    assert rules.corner("confusion", decayed=False, largest=10)(table, "above") is False
    assert rules.corner("confusion", decayed=True, largest=10)(table.drop(4), "above") is False  # one of each


def fractions(hits: dict[int, int], n: int = 10, **columns: Any) -> pd.DataFrame:
    """Networks by train sums of 55, of which some reach the line at step 500; lambda_3 grows with the sums."""
    rows = [(size, seed, 500.0 if seed < k else None) for size, k in hits.items() for seed in range(n)]
    table = pd.DataFrame(rows, columns=["n_train", "seed", "reached_paper"])
    table = table.assign(samples=55, embedding_lr=1e-3, steps=10_000, lambda_3=table["n_train"] / 600)
    return table.assign(**columns)


def test_where_networks_begin_to_learn_the_line(structure: Any) -> None:
    """In part needs a success from 0.4 to 0.5; a few networks without one do not tell."""
    assert structure.critical(fractions({20: 0, 22: 0, 25: 6, 40: 9}), "paper")[0] is True
    assert structure.critical(fractions({20: 0, 22: 0, 25: 1, 40: 9}), "paper")[0] == "in part"
    assert structure.critical(fractions({20: 0, 22: 0, 25: 0, 40: 9}), "paper")[0] is False
    assert structure.critical(fractions({20: 0, 22: 0, 25: 0, 40: 3}, n=3), "paper")[0] == "undecided"
    assert structure.critical(fractions({20: 5, 22: 0, 25: 0, 40: 3}, n=5), "paper")[0] is False


def test_steps_over_n_h_need_runs_of_six(structure: Any) -> None:
    """n_h is 12,000 steps at 50 sums: 10,000 steps tell nothing, 80,000 do."""
    short = fractions({50: 5})
    assert structure.three_n_h(short, "paper") == ("undecided", "no run lasts 6 n_h")
    longer = fractions({50: 10}, steps=80_000, reached_paper=36_000.0)
    assert len(structure.long_enough(pd.concat([short, longer]))) == 10
    holds, words = structure.three_n_h(pd.concat([short, longer]), "paper")
    assert holds is True
    assert words == "3.00 [3.00, 3.00] of 10 networks, 10 of which get there, 10 within 1.5 and 6"
    assert structure.three_n_h(longer.assign(reached_paper=6_000.0), "paper")[0] is False
    slow = longer.assign(reached_paper=float("nan"))  # later than their runs, and so than 6 n_h
    assert structure.three_n_h(slow, "paper") == (
        False,
        "never [never, never] of 10 networks, 0 of which get there, 0 within 1.5 and 6",
    )
    early = fractions({50: 10}, reached_paper=750.0)  # the same networks, in a shorter run
    assert structure.three_n_h(pd.concat([early, slow]), "paper")[0] is False
    assert structure.long_enough(pd.concat([early, slow]))["reached_paper"].isna().all()
    both = longer.assign(reached_paper=[36_000.0 if k % 2 else 6_000.0 for k in range(10)])
    assert structure.three_n_h(both, "paper")[0] == "undecided"


def test_networks_that_do_not_get_there_are_the_slowest(structure: Any) -> None:
    """Those that get there have one time, which orders nothing; that few do at small lambda_3 does."""
    holds, words = structure.grokking_rate(fractions({30: 0, 40: 5, 50: 10}), "paper")
    assert holds is True
    assert "over 30 networks, 0.00 over the 15 that get there" in words
    assert structure.grokking_rate(fractions({30: 10, 40: 5, 50: 0}), "paper")[0] is False


def test_a_share_beside_its_bounds(structure: Any) -> None:
    """Wilson: 0 of 120 up to 3.1%, 14 of 120 7.1 to 18.6%, 24 of 120 13.8 to 28.0%, 40 of 120 from 25.5%."""
    assert [structure.within(k, 120) for k in (0, 3, 14, 24, 40)] == [True, "undecided", "in part", "undecided", False]


def along(dimensions: int, curve: list[float], seed: int = 0, **columns: Any) -> pd.DataFrame:
    """A transformer at steps 0, 100, ...; test accuracy reaches 0.9 at step 200; few axes of the end suffice."""
    table = pd.DataFrame({"step": range(0, 100 * len(curve), 100), "effective_dimension": curve})
    table = table.assign(run=f"of {dimensions}", seed=seed, dimensions=dimensions, embedding_weight_decay=0.0)
    table["test_accuracy"] = (table["step"] >= 200).astype(float)
    return table.assign(
        **{f"{axes}_{k}": value for k in (2, 4) for axes, value in (("own", 0.5), ("end", 1.0))}, **columns
    )


def test_the_largest_transformers_decide(answers: Any) -> None:
    """Ten seeds of 48 dimensions are not enough for any; of 256 with the circle's numbers they are for all five."""
    from claims import Claims

    networks = importlib.import_module("answers.effective_theory_networks")
    small = pd.concat([along(48, [30, 20, 10, 8], seed) for seed in range(10)])
    claims = Claims("effective_theory")
    networks.along_training(claims, small)
    assert {name: one.verdict for name, one in claims.answers.items()} == dict.fromkeys(
        networks.OF_EMBEDDINGS, "undecided"
    )
    assert "Ran 48 of 256 dimensions" in claims.answers["dimension_peak"].note
    numbers = {"circle_share": 0.95, "circle_unevenness": 0.1, "final_share": 0.3, "random_below": 1.0}
    large = pd.concat([along(256, [30, 40, 45, 8], seed, **numbers) for seed in range(10)])
    claims = Claims("effective_theory")
    networks.along_training(claims, pd.concat([small, large]))
    assert {name: one.verdict for name, one in claims.answers.items()} == {
        "effective_dimension": "holds", "dimension_peak": "holds", "first_components": "holds", "circle": "holds",
        "lottery_ticket": "holds in part",
    }  # fmt: skip
    claims = Claims("effective_theory")
    networks.along_training(claims, pd.concat([along(256, [50, 40, 30, 8], seed) for seed in range(10)]))
    assert claims.answers["dimension_peak"].verdict == "does not hold"
    assert claims.answers["effective_dimension"].verdict == "holds in part"


def sizes(*times: float) -> pd.DataFrame:
    """Three seeds of MNIST, trained on 300, 700 and 5,000 images, by the steps to 0.6."""
    cells = [
        {"seed": seed, "n_train": n, "test_at_least": at}
        for seed in range(3)
        for n, at in zip((300, 700, 5_000), times, strict=True)
    ]
    return pd.DataFrame(cells).assign(steps=100_000)


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ((40_000.0, 20_000.0, 3_000.0), "holds"), ((8_000.0, 5_000.0, 3_000.0), "holds in part"),
        ((float("nan"), 20_000.0, 3_000.0), "holds"), ((40_000.0, float("nan"), 3_000.0), "does not hold"),
    ],
)  # fmt: skip
def test_time_by_train_size(answers: Any, times: tuple[float, ...], verdict: str) -> None:
    """Ranks decide, however far apart the sizes lie; a network that never gets there is the slowest."""
    from claims import Claims

    claims = Claims("effective_theory")
    importlib.import_module("answers.effective_theory_networks").images(claims, {"mnist_sizes": sizes(*times)})
    assert claims.answers["mnist_sizes"].verdict == verdict


def test_points_on_a_circle(answers: Any) -> None:
    """Frequency 3 of 11 points has all the variance and no unevenness; a line has both otherwise."""
    circles = importlib.import_module("answers.circles")
    turn = 2 * torch.pi * 3 * torch.arange(11, dtype=torch.float64) / 11
    points = torch.stack([turn.cos(), turn.sin(), torch.zeros(11)], 1) + 5
    flat, shares = circles.on_plane(points, torch.eye(3, dtype=torch.float64)[:2])
    assert int(shares.argmax()) + 1 == 3
    assert float(shares.max()) == pytest.approx(1)
    assert circles.unevenness(flat) == pytest.approx(0, abs=1e-9)
    line = torch.arange(11.0, dtype=torch.float64)[:, None] * torch.ones(1, 2)
    assert circles.unevenness(circles.on_plane(line, torch.eye(2, dtype=torch.float64))[0]) > 0.5
    assert circles.on_random_planes(points, 3, draws=5).shape == (5,)
