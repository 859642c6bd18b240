"""Verdicts on modular addition from tables by hand, each with a table that turns it over; and the page on what leads."""

from __future__ import annotations

import re
import sys
import tomllib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))

from answers import intervals, modular_addition
from answers import modular_addition_modes as of_part
from answers import modular_addition_networks as of_network
from answers import modular_addition_optimisers as of_optimiser
from answers import modular_addition_rates as of_rate
from answers import modular_addition_recipe as of_recipe
from answers.waiting import NotRun

SEEDS = range(8)
NETWORK = {
    "train_accuracy": 1.0, "train_at": 100.0, "train_half": 50.0, "modes": 5, "steps": 20_000, "slingshots": "", "p": 53,
    "lr": 0.005, "weight_decay": 0.0, "train_fraction": 0.95, "init_scale": 1.0, "frozen": np.nan, "loss": "cross_entropy",
    "optimizer": "adam", "test_accuracy": 1.0, "test_at": 2_000.0, "test_low": 900.0, "test_high": 1_000.0,
}  # fmt: skip


def networks(run: str, *settings: dict[str, Any], seeds: range = SEEDS) -> pd.DataFrame:
    """A row per setting and seed; a setting may be a function of the seed."""
    rows = [
        NETWORK | {"run": run, "seed": s, "member": s} | {k: v(s) if callable(v) else v for k, v in setting.items()}
        for setting in settings for s in seeds
    ]  # fmt: skip
    return pd.DataFrame(rows)


def fell(seed: int) -> float:
    return 0.5 + 0.01 * seed


def of_settings(adam: float, sgd: float) -> pd.DataFrame:
    each = [{"weight_decay": d, "train_fraction": f} for d in (0.0, 2e-4) for f in (0.8, 0.95)]
    one = networks("optimisers_adam", *[s | {"test_accuracy": lambda k: adam + 1e-3 * k} for s in each])
    other = networks("optimisers_sgd", *[s | {"optimizer": "sgd", "test_accuracy": sgd} for s in each])
    return pd.concat([one, other])


def of_fractions(power: float) -> pd.DataFrame:
    """Steps exp(3 / share^power), or exactly exponential in the share for 0."""
    shares = (0.5, 0.6, 0.7, 0.8, 0.9)
    log = [3 / s**power if power else 10 - 6 * s for s in shares]
    at = [
        {"train_fraction": s, "test_at": lambda k, v=v: float(np.exp(v) * (1 + 0.01 * k))}
        for s, v in zip(shares, log, strict=True)
    ]
    return networks("fractions", *at)


def of_rates(best_11: float, best_113: float, steepness: float = 0) -> pd.DataFrame:
    """Steps to generalise at five rates, fewest at the best one; no seed generalises at the highest.

    Args:
        best_11: for p = 11; best_113: for p = 113.
        steepness: 0 for steps that hardly depend on the rate; at 1 rate times steps is least at the best rate, too.
    """
    found = []
    for p, best in ((11, best_11), (113, best_113)):
        rates = (5e-4, 1e-3, 5e-3, 1e-2, 0.1)
        at = [
            {
                "p": p,
                "lr": r,
                "test_at": (
                    lambda k, r=r, b=best: (100 + 50 * abs(np.log(r / b)) + k) * max(1, b / r) ** (2 * steepness)
                )
                if r < 0.1
                else np.nan,
            }
            for r in rates
        ]
        found.append(networks(f"prime_{p}", *at, seeds=range(5)))
    return pd.concat(found)


def of_sizes(*more: str, **setting: float) -> pd.DataFrame:
    """The recipe at every size of the embedding."""
    return pd.concat([networks(run, setting) for run in ("mlp_modes", "mlp_embed24", "mlp_embed52", *more)])


def of_pairs(without: Any, later: Any) -> pd.DataFrame:
    """A hundred networks that generalise with L2, and test accuracies without it."""
    accuracies = {"mlp_modes": 1.0, "mlp_free": without, "mlp_free_longer": later}
    return pd.concat([networks(run, {"test_accuracy": a}, seeds=range(100)) for run, a in accuracies.items()])


def of_modes(without: Any, having: Any, seeds: range = SEEDS) -> pd.DataFrame:
    """Modes without L2 and with it, in the recipe and with both optimisers."""
    return pd.concat([
        networks(run, {"weight_decay": decay, "modes": modes, "optimizer": run.removeprefix("optimisers_")}, seeds=seeds)
        for runs, decay, modes in (
            (("mlp_free", "optimisers_adam", "optimisers_sgd"), 0.0, without),
            (("mlp_modes", "optimisers_adam", "optimisers_sgd"), 2e-4, having),
        )
        for run in runs
    ]).assign(optimizer=lambda t: t["optimizer"].where(t["optimizer"] == "sgd", "adam"))  # fmt: skip


def of_two_rates(large: float, small: float) -> pd.DataFrame:
    return networks(
        "optimisers_sgd",
        *[{"lr": r, "test_accuracy": lambda k, a=a: a + 1e-3 * k} for r, a in ((2.0, large), (0.1, small))],
    )


def of_losses(*settings: dict[str, float]) -> pd.DataFrame:
    """The modes of networks that generalise, by rate and loss."""
    each = [
        {"lr": s["lr"], "loss": loss, "modes": s[loss]} for s in settings for loss in ("mse", "cross_entropy") if loss in s
    ]  # fmt: skip
    return networks("losses", *each)


def of_large(adam: float, coarse: float, fine: float) -> pd.DataFrame:
    """Where test accuracy reaches 90% at rates of 0.1 and more; train accuracy does at 100."""
    each = {"prime_23": (0.1, adam), "optimisers_sgd": (2.0, coarse), "sgd_large": (2.0, fine)}
    return pd.concat([networks(run, {"lr": rate, "test_at": at}) for run, (rate, at) in each.items()])


P113 = [networks(f"p113_seed{k}", {"test_at": 9_000.0}, seeds=range(k, k + 1)) for k in range(5)]
VERDICTS: dict[str, tuple[Any, pd.DataFrame, Any]] = {
    "groks": (of_network.late_generalisation, pd.concat(P113), True),
    "one does not": (of_network.late_generalisation, pd.concat([*P113[:4], P113[4].assign(test_at=np.nan)]), "in part"),
    "comes at once": (of_network.late_generalisation, pd.concat(P113).assign(test_at=500.0), False),
    "five modes": (of_recipe.learnt_modes("mlp_embed24"), networks("mlp_embed24", {"modes": lambda k: 4 + k % 3}), True),
    "two or five": (of_recipe.learnt_modes("mlp_modes"), networks(
        "mlp_modes", {"modes": lambda k: 2 + 3 * (k % 2)}), "undecided"),
    "two modes": (of_recipe.learnt_modes("mlp_modes"), networks("mlp_modes", {"modes": 2}), False),
    "few of all": (of_recipe.room_for_all, networks("mlp_embed52", {"modes": 13}), True),
    "most of all": (of_recipe.room_for_all, networks("mlp_embed52", {"modes": 14}), False),
    "some few": (of_recipe.room_for_all, networks("mlp_embed52", {"modes": lambda k: 13 + k % 2}), "undecided"),
    "after half": (of_recipe.early, of_sizes(), {False}),
    "before half": (of_recipe.early, of_sizes(train_half=1_000.0), {True}),
    "around half": (of_recipe.early, of_sizes(train_half=950.0), {"undecided"}),
    "before memorising": (of_recipe.before_memorisation, networks("mlp_free", {"train_full": 2_001.0}), {True}),
    "after memorising": (of_recipe.before_memorisation, networks("mlp_free", {"train_full": 999.0}), {False}),
    "rises before, is there after": (of_recipe.before_memorisation, networks("mlp_free", {"train_full": 1_500.0}), {True, False}),
    "at one measurement": (of_recipe.before_memorisation, networks(
        "mlp_free", {"train_full": 2_000.0, "test_high": 2_000.0}), {"undecided"}),
    "never all memorised": (of_recipe.before_memorisation, networks("mlp_free", {"train_full": np.nan}), {True}),
    "train starts": (of_recipe.memorisation_starts, of_sizes("mlp_free", train_tenth=25.0, test_tenth=50.0), {True}),
    "both start": (of_recipe.memorisation_starts, of_sizes("mlp_free", train_tenth=25.0, test_tenth=25.0), {False}),
    "L2 spared": (of_recipe.no_regularisation, of_pairs(without=1.0, later=1.0), {True}),
    "L2 needed": (of_recipe.no_regularisation, of_pairs(without=0.4, later=0.4), {False}),
    "L2 needed for speed": (of_recipe.no_regularisation, of_pairs(without=0.4, later=1.0), {False, True}),
    "L2 needed for 90%": (of_recipe.no_regularisation, of_pairs(without=0.8, later=0.8), {False, True}),
    "L2 needed in one of ten": (of_recipe.no_regularisation, of_pairs(
        without=lambda k: 0.4 if k % 10 == 0 else 1.0, later=lambda k: 0.4 if k % 10 == 0 else 1.0), {"undecided"}),
    "fewer modes with L2": (of_recipe.modes_under_l2, of_modes(6, 5), {True}),
    "more modes with L2": (of_recipe.modes_under_l2, of_modes(5, 6), {False}),
    "as many modes": (of_recipe.modes_under_l2, of_modes(lambda k: 4 + k % 2, lambda k: 5 - k % 2), {"undecided"}),
    "too few pairs": (of_recipe.modes_under_l2, of_modes(6, 5, seeds=range(4)), {"undecided"}),
    "large rate better": (of_optimiser.large_rate("optimisers_sgd"), of_two_rates(0.9, 0.5), True),
    "small rate better": (of_optimiser.large_rate("optimisers_sgd"), of_two_rates(0.5, 0.9), False),
    "Adam has more modes": (of_optimiser.modes_by_optimiser, of_settings(1.0, 1.0).assign(
        modes=lambda t: 5 + (t["optimizer"] == "adam")), True),
    "more at one size alone": (of_optimiser.modes_by_optimiser, of_settings(1.0, 1.0).assign(
        modes=lambda t: 5 + (t["optimizer"] == "adam") * (t["train_fraction"] > 0.9)), "undecided"),
    "Adam better": (of_optimiser.adam_over_sgd, of_settings(0.99, 0.9), True),
    "SGD better": (of_optimiser.adam_over_sgd, of_settings(0.8, 0.95), False),
    "equal": (of_optimiser.adam_over_sgd, of_settings(0.9955, 1.0), "undecided"),
    "squared error has more": (of_network.mse_modes, of_losses({"lr": 0.005, "mse": 7, "cross_entropy": 5}), {True}),
    "squared error has fewer": (of_network.mse_modes, of_losses({"lr": 0.005, "mse": 5, "cross_entropy": 7}), {False}),
    "more at one rate": (of_network.mse_modes, of_losses(
        {"lr": 0.005, "mse": 7, "cross_entropy": 5}, {"lr": 0.02, "mse": 5, "cross_entropy": 7}), {True, False}),
    "at other rates": (of_network.mse_modes, of_losses({"lr": 0.005, "mse": 7}, {"lr": 0.02, "cross_entropy": 5}), "undecided"),
    "frozen better free": (of_network.frozen_layers, networks(
        "frozen", *[{"frozen": "last", "weight_decay": d, "test_accuracy": a} for d, a in ((0.0, 0.9), (2e-4, fell))]), True),
    "frozen worse free": (of_network.frozen_layers, networks(
        "frozen", *[{"frozen": "last", "weight_decay": d, "test_accuracy": a} for d, a in ((0.0, fell), (2e-4, 0.9))]), False),
    "steeper": (of_network.superexponential, of_fractions(3.0), {True}),
    "slingshots": (of_network.slingshot, networks("slingshots", {"slingshots": "500 9000"}), True),
    "slingshots elsewhere": (of_network.slingshot, networks("slingshots", {"slingshots": "50 9000"}), False),
    "rates differ": (of_rate.rate_by_prime, of_rates(1e-3, 1e-2, 1), {True}),
    "in updates alone": (of_rate.rate_by_prime, of_rates(1e-3, 1e-2), {True, "undecided"}),
    "rates agree": (of_rate.rate_by_prime, of_rates(5e-3, 5e-3), {"undecided"}),
    "between": (of_rate.rate_between, of_rates(1e-3, 1e-3, 1).assign(run="prime_53").query("p == 11"), {True}),
    "slow for its size": (
        of_rate.rate_between, of_rates(1e-3, 1e-3).assign(run="prime_53").query("p == 11"), {True, "undecided"}),
    "at the end": (of_rate.rate_between, of_rates(5e-4, 1e-3, 1).assign(run="prime_53").query("p == 11"), {"undecided"}),
    "a prime that never generalises": (of_rate.rate_by_prime, pd.concat([of_rates(1e-2, 1e-2), networks(
        "prime_23", *[{"p": 23, "lr": r, "test_at": np.nan} for r in (5e-4, 1e-2)], seeds=range(5))]), {"undecided"}),
    "0.1 never": (of_rate.rate_tenth, of_large(np.nan, np.nan, np.nan), {False}),
    "0.1 late": (of_rate.rate_tenth, of_large(111.0, 111.0, 111.0), {"in part"}),
    "0.1 a little late": (of_rate.rate_tenth, of_large(111.0, 111.0, 110.0), {True, "in part"}),
    "Adam at once": (of_rate.rate_tenth, of_large(100.0, np.nan, np.nan), {True}),
    "SGD at once": (of_rate.rate_tenth, of_large(np.nan, 100.0, 100.0), {True}),
    "a tie that finer measurements part": (of_rate.rate_tenth, of_large(np.nan, 100.0, 111.0), {"in part"}),
}  # fmt: skip


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts_by_hand(case: str) -> None:
    """What the criterion of the claim says of a table made for it."""
    how, table, expected = VERDICTS[case]
    found = how(table)[1]
    assert (set(found.values()) if isinstance(found, dict) else found) == expected


def test_an_exponential_is_not_more() -> None:
    """Straight in the logarithm, up to rounding."""
    assert True not in of_network.superexponential(of_fractions(0))[1].values()


def modes(away: float, alone: float, changed: float = 0.01, learnt: float = 2.0) -> pd.DataFrame:
    """Ten networks a size of four modes, one of them learnt."""
    rows = [
        {"run": run, "member": m, "p": 53, "frequency": k, "key": k == 1, "alone_mean": 3.9, "alone_away": away,
         "alone_low": 3.8 if k > 1 else alone - 0.1, "alone_high": 4.0 if k > 1 else alone, "duration": 200.0,
         "without_low": -changed if k > 1 else learnt, "without_high": changed if k > 1 else learnt + 0.1,
         "kind": "sigmoid" if k == 1 else np.nan}
        for run in ("mlp_modes", "mlp_embed24") for m in range(10) for k in range(1, 5)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_losers_and_growth() -> None:
    """Calm and above what is learnt; either fails alone, kept alone or removed."""
    cases = {
        (0.01, 1.0): (True, True), (1.0, 1.0): (False, True), (0.01, 5.0): (False, True), (0.01, 1.0, 0.3): (True, False),
        (0.01, 1.0, 0.01, 0.005): (True, False),
    }  # fmt: skip
    for table, expected in cases.items():
        assert list(of_part.losers(modes(*table))[1].values()) == [*expected, *expected]  # at embeddings of 12 and 24
    assert of_part.mode_growth(modes(0, 1))[1] is True
    assert of_part.mode_growth(modes(0, 1).assign(kind="jump"))[1] is False


ORDER = pd.DataFrame({
    "run": "p53", "member": range(3), "measure": "excluded_loss", "where": "train", "window": "after memorisation",
    "changes_at": 10.0, "low": 8.0, "high": 12.0, "test_at": 20.0, "test_low": 18.0, "test_high": 22.0,
    "before": 1.0, "after": 2.0, "order": "leads",
})  # fmt: skip


def test_order_of_changes() -> None:
    """All lead, all follow, some of each; a change in the wrong direction is none."""
    rows = ORDER
    rises = of_part.leads("p53", "excluded_loss", "train", up=True)
    mixed = rows.assign(order=["leads", "follows", "leads"])
    assert [rises(t)[1] for t in (rows, rows.assign(order="follows"), mixed, rows.assign(after=0.5))] == [
        True, False, "undecided", False,
    ]  # fmt: skip
    shared = rises(rows.assign(high=[12.0, 18.0, 12.0]))[0]
    assert "3 leads, 0 undecided, 0 follows, of which 1 shares an end" in shared


def test_a_measure_of_few_networks_is_none_of_its_task() -> None:
    """Train accuracy leads in one task, and in the other it has a change in one network of ten: no measure of both."""

    def case(run: str, measure: str, members: int) -> pd.DataFrame:
        own = {
            "run": run,
            "member": range(members),
            "measure": measure,
            "where": "train",
            "window": "after memorisation",
        }
        ends = {"changes_at": 10.0, "low": 8.0, "high": 12.0, "test_at": 20.0, "test_low": 18.0, "test_high": 22.0}
        return pd.DataFrame({
            **own, **ends, "order": "leads", "explained": 0.9, "memorised_at": 5.0, "generalised_at": 25.0,
            "before": 1.0, "after": 2.0,
        })  # fmt: skip

    tables = [case(run, "loss", 10) for run in ("one", "two")] + [
        case("one", "accuracy", 10),
        case("two", "accuracy", 1),
    ]
    here, holds, ran, note = of_part.everywhere(pd.concat(tables))
    assert (here, holds) == ("1 measures in 2 tasks (one, two); lead in all: loss train", True)
    assert ran == {"tasks": 2}
    assert "accuracy" not in note


def test_every_claim_has_an_answer() -> None:
    """Facts about files are answered by the notebook, all others by the tables of long runs."""
    said = tomllib.loads((ROOT / "examples/sources/modular_addition.toml").read_text(encoding="utf8"))["claims"]
    answered = {name for each in modular_addition.ANSWERS.values() for name in each}
    assert answered == {name for name, claim in said.items() if not claim.get("file")}


def test_intervals_by_hand() -> None:
    """Equal values are a point; a mean of five has Student's interval, a difference of two means Welch's; signs of intervals."""
    assert intervals.mean([2.0, 2.0]) == intervals.median([2.0, 2.0]) == (2, 2, 2)
    five = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert intervals.mean(five) == pytest.approx((3, 3 - 1.9632, 3 + 1.9632), abs=1e-4)  # 2.7764 * (2.5 / 5) ** 0.5
    assert intervals.apart(five + 1, five) == pytest.approx(
        (1, 1 - 2.3060, 1 + 2.3060), abs=1e-4
    )  # 8 degrees of freedom
    assert intervals.apart(np.ones(3), np.zeros(2)) == (1, 1, 1)
    assert intervals.signs([(1, 0.5, 2), (0, -1, 1)]) == "in part"
    assert intervals.signs([(1, 0.5, 2), (-1, -2, -0.5)]) == "undecided"


def test_the_page_on_what_leads_is_that_of_the_tables() -> None:
    """Every table between marks is the one that docs/evidence/leads.py makes today, and each sentence's number is in one."""
    sys.path.insert(0, str(ROOT / "docs" / "evidence"))
    import leads

    text = leads.PAGE.read_text(encoding="utf8")
    assert leads.filled(text) == text
    assert set(re.findall(r"<!-- (.*?) -->", text)) - {"end"} == set(leads.pages())
    assert leads.filled(text.replace("leads", "LEADS")) != text  # a stale table would be seen


@pytest.mark.parametrize(("how", "table", "missing"), [
    (of_recipe.early, networks("mlp_modes", {}), "mlp_embed24, mlp_embed24_more"),
    (of_optimiser.adam_over_sgd, of_settings(0.9, 0.8).query("run == 'optimisers_adam'"), "optimisers_sgd"),
    (of_rate.rate_tenth, networks("prime_23", {"lr": 0.1}), "optimisers_sgd"),
    (of_part.losers, modes(0.01, 1.0).query("run == 'mlp_modes'"), "mlp_embed24"),
    (of_part.leads("p53", "excluded_loss", "train"), ORDER.assign(where="test"), "p53"),
], ids=["a size", "an optimiser", "fine measurements", "an embedding", "a curve"])  # fmt: skip
def test_an_answer_waits_for_what_is_missing(how: Any, table: pd.DataFrame, missing: str) -> None:
    with pytest.raises(NotRun, match=rf"runs? {missing} \("):
        how(table)


def test_an_answer_without_its_runs_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: dict[str, tuple[object, str]] = {}

    class Claims:
        def answer(self, name: str, here: str, **about: Any) -> None:
            noted[name] = (about["holds"], about["note"])

    monkeypatch.setattr(modular_addition, "read", lambda table: pd.DataFrame({"run": []}))
    modular_addition.answer(Claims())
    assert set(noted) == {name for each in modular_addition.ANSWERS.values() for name in each}
    assert all(holds is None and note.startswith("Waits for the run") for holds, note in noted.values())
    assert noted["few_frequencies"][1].startswith(
        "Waits for the runs p113_seed0, p113_seed1, p113_seed2, p113_seed3, p113_seed4 (make evidence): "
    )
    assert (
        noted["mlp_modes"][1]
        == "Waits for the runs mlp_embed24, mlp_embed24_more (make evidence): about 2 minutes of a core"
    )
    assert noted["frozen_layers"][1] == "Waits for the run frozen (make evidence): about 2 minutes of a core"
