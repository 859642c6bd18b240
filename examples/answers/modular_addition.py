"""Answers to the claims of modular_addition.ipynb that rest on runs of examples/long_runs/evidence/modular_addition.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from answers import modular_addition_modes as of_part
from answers import modular_addition_networks as of_network
from answers import modular_addition_optimisers as of_optimiser
from answers import modular_addition_rates as of_rate
from answers import modular_addition_recipe as of_recipe
from answers.intervals import Told, read
from answers.waiting import NotRun

NETWORKS = "python examples/long_runs/modular_addition.py RUNS examples/measured"
LEADS = "python examples/long_runs/what_leads.py RUNS examples/measured"


def answer(claims: Any) -> None:
    """Answer every claim that the tables decide."""
    for table, each in ANSWERS.items():
        rows = read(table)
        for name, how in each.items():
            command = LEADS if table == "what_leads" else NETWORKS
            try:
                here, holds, ran, note = how(rows)
            except NotRun as waiting:
                claims.answer(name, "", holds=None, note=str(waiting), command=command)
                continue
            sizes = {what: float(n) for what, n in ran.items()}
            claims.answer(name, here, holds=holds, ran=sizes, note=note, command=command)


ANSWERS: Mapping[str, Mapping[str, Callable[[pd.DataFrame], Told]]] = {
    "what_leads": {
        "restricted_before_test": of_part.leads("p113", "restricted_loss", "test", than=("loss", "test")),
        "restricted_before_test_53": of_part.leads("p53", "restricted_loss", "test", than=("loss", "test")),
        "excluded_before_test": of_part.leads("p113", "excluded_loss", "train", up=True),
        "excluded_before_test_53": of_part.leads("p53", "excluded_loss", "train", up=True),
        "sparse_modes": of_part.sparse,
        "leads_everywhere": of_part.everywhere,
    },
    "modular_addition_networks": {
        "transformer_groks": of_network.late_generalisation,
        "few_frequencies": of_network.few_frequencies,
        "mlp_seconds": of_recipe.seconds,
        "mlp_modes": of_recipe.learnt_modes(*of_recipe.ROOM_FOR_12),
        "mlp_modes_12": of_recipe.learnt_modes(*of_recipe.RECIPE),
        "room_for_all": of_recipe.room_for_all,
        "early_generalisation": of_recipe.early,
        "before_memorisation": of_recipe.before_memorisation,
        "memorisation_starts": of_recipe.memorisation_starts,
        "adam_over_sgd": of_optimiser.adam_over_sgd,
        "large_rate_sgd": of_optimiser.large_rate("optimisers_sgd"),
        "large_rate_adam": of_optimiser.large_rate("optimisers_adam", "optimisers_adam_slow"),
        "modes_by_optimiser": of_optimiser.modes_by_optimiser,
        "modes_under_l2": of_recipe.modes_under_l2,
        "rate_between": of_rate.rate_between,
        "rate_tenth": of_rate.rate_tenth,
        "rate_by_prime": of_rate.rate_by_prime,
        "no_regularisation": of_recipe.no_regularisation,
        "small_init": of_network.small_init,
        "frozen_layers": of_network.frozen_layers,
        "mse_modes": of_network.mse_modes,
        "superexponential": of_network.superexponential,
        "slingshot": of_network.slingshot,
    },
    "modular_addition_modes": {"losers_baseline": of_part.losers, "mode_growth": of_part.mode_growth},
    "modular_addition_starts": {"early_cross_entropy": of_part.early_cross_entropy},
    "modular_addition_memory": {"one_dimension": of_part.one_dimension},
}
