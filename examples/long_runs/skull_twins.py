"""Measure networks that draw the evolved pictures: evolved, trained by SGD (published, and twins trained here), and random.

    python examples/long_runs/skull_twins.py RUNS examples/measured DATA/picbreeder

RUNS holds the runs of evidence/picbreeder.toml; the rows of others stay as they are. DATA is the folder of others'
files. About 10 to 30 seconds a network. Writes, with a row per

- network: skull_twins.csv (settings; mse, the median of the last 5% of the training losses; units, symmetry, sweeps with 95%
  intervals, late drop; networks that do not draw the picture in the end have no more than errors and units in use);
- network, threshold and activation function: skull_units.csv (units in use);
- network, layer and basis: skull_layers.csv (likeness to the picture, symmetry);
- network and step: skull_losses.csv (500 at most).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

import circuits
import interp
import probes
from circuits.weight_sweeps.null_models import random_network
from interp.errors import InterpError
from interp.hooked.cppn.config import CPPNConfig

sys.path.insert(0, str(Path(__file__).parents[1]))

from answers.tables import DRAWN
from answers.twin_rows import KEY
from long_runs.results import finished, start, store

PICTURES = ("skull", "butterfly")
THRESHOLDS = tuple(round(m * 10.0**k, 9) for k in range(-7, -1) for m in (1, 3))  # of a unit's effect on the picture
DEAD = (1e-4, 1e-6)  # mean square below which a direction changes nothing
SCORES = ("antisymmetric_share", "change_rank_share", "extent")
N, CHANGES = 200, 150  # directions, and changes whose rank is compared
MOST_POINTS = 500  # of a loss curve
RANDOM = 3  # random networks a picture


@dataclass(frozen=True)
class Network:
    """A network, what it is and where it comes from."""

    model: interp.HookedCPPN
    settings: dict[str, object]
    losses: pd.DataFrame | None = None  # step, loss


def variant(config: CPPNConfig, evolved: CPPNConfig) -> dict[str, object]:
    """What of the critique's variants an architecture is: ``variant`` and ``width``, as multiples of the evolved one's."""
    own, base = dict(config.groups), dict(evolved.groups)
    if "relu" in own:
        return {"variant": "relu", "width": config.width / evolved.width}
    width = own["cache"] / base["cache"]
    held = width > 1 and own["gaussian"] == base["gaussian"]
    return {"variant": "gaussian-adjusted" if held else "plain", "width": width}


def published(data: Path) -> Iterator[Network]:
    """The evolved networks, the authors' SGD networks, and random ones of the same architecture."""
    for picture in PICTURES:
        evolved = interp.picbreeder.read(data / f"{picture}.zip").layered()
        yield Network(evolved, {"run": "published", "picture": picture, "variant": "evolved"})
        sgd = interp.load(data / f"sgd_{picture}.npz").model
        told = {"variant": "published SGD", "width": 1, "weight_decay": 0.0, "steps": 100_000, "size": 256}
        yield Network(sgd, {"run": "published", "picture": picture} | told)
        for seed in range(RANDOM):
            told = {"run": "random", "picture": picture, "variant": "random", "width": 1, "seed": seed}
            yield Network(random_network(evolved, seed), told)


def trained(runs: Path, data: Path) -> Iterator[Network]:
    """The networks of all finished runs."""
    for name, run in finished(runs, (f"{picture}*" for picture in PICTURES)).items():
        picture = name.split("_")[0]
        evolved = interp.picbreeder.read(data / f"{picture}.zip").layered()
        plan, metrics = run.plan, run.metrics
        for member, subject in enumerate(run.subjects):
            own = metrics[metrics["member"] == member]
            settings = {
                "run": name, "picture": picture, **variant(subject.model.config, evolved.config),
                "weight_decay": plan.members[member].get("weight_decay", plan.optimizer.weight_decay),
                "seed": plan.members[member].get("seed", plan.task.seed), "steps": plan.steps, "size": plan.task.size,
                "batch": plan.batch_size, "lr": plan.optimizer.lr, "mse": own["train_loss"].tail(max(1, len(own) // 20)).median(),
                "weight_norm": own["weight_norm"].iloc[-1],
            }  # fmt: skip
            losses = pd.DataFrame({"step": own["step"], "loss": own["train_loss"]}).reset_index(drop=True)
            yield Network(subject.model, settings, losses)


def units(model: interp.HookedCPPN) -> dict[str, object]:
    """Counts of units, and shares of symmetric ones."""
    maps = probes.feature_maps.of(model)
    return {
        "total": maps.active.numel(), "active": int(maps.active.sum()), "active_own": int(maps.own.sum()),
        "copies": int((maps.active & maps.copies).sum()), "distinct": int(maps.distinct.sum()),
        "symmetric_share": float((maps.symmetric & maps.own).sum() / maps.own.sum().clamp_min(1)),
        "effective_rank": maps.rank(),
    }  # fmt: skip


def sweeps(model: interp.HookedCPPN) -> dict[str, object]:
    """Scores of sweeps along single entries and random columns at a step of 1; of the latter at matched effect, too."""
    row: dict[str, object] = {}
    drawn = {"single": circuits.single_entries(model, n=N), "random": circuits.random_directions(model, N)}
    for kind, directions in drawn.items():
        sweep = circuits.sweep(model, directions)
        found = {kind: sweep.scores(CHANGES)}
        if kind == "random":
            chosen, reach = circuits.matched_steps(model, directions, 0.1, size=32)
            found |= {"random_matched": circuits.sweep(model, chosen, reach).scores(CHANGES)} if chosen else {}
        told = {f"{name}_{s}": scores[s] for name, scores in found.items() for s in SCORES if s in scores}
        told |= {f"{kind}_dead_{least:g}": sweep.dead_share(least) for least in DEAD}
        for name, score in told.items():
            row |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
    return row


def drop(losses: pd.DataFrame | None) -> dict[str, object]:
    """The largest late drop of the loss; nothing where the curve has too few points."""
    if losses is None:
        return {}
    try:
        found = probes.late_drops.late_drop(losses["step"].tolist(), losses["loss"].tolist())
    except InterpError as short:
        print(f"no late drop: {short}", flush=True)
        return {}
    told = ("factor", "p_value", "step", "low", "high")
    return {f"drop_{name}": getattr(found, name) for name in told}


def keyed(table: pd.DataFrame, key: dict[str, object]) -> pd.DataFrame:
    """A table with the network's settings as its first columns."""
    return pd.DataFrame({**{name: [value] * len(table) for name, value in key.items()}, **table})


def main(runs: Path, out: Path, data: Path) -> None:
    rows, in_use, layers, losses = [], [], [], []
    targets = {p: interp.picbreeder.read(data / f"{p}.zip").layered().draw(256).pixels for p in PICTURES}
    for network in (*published(data), *trained(runs, data)):
        model, settings = network.model.cast(torch.float64), network.settings
        key = {name: settings.get(name) for name in KEY}
        error = {"mse_256": float((model.draw(256).pixels - targets[str(settings["picture"])]).square().mean())}
        curve = circuits.units_in_use(model, THRESHOLDS)
        used = curve[curve["activation"] == "all"].set_index("threshold")["used"]
        counts = {f"used_{threshold:g}": int(used[threshold]) for threshold in (1e-5, 1e-4, 1e-3)}
        if settings.get("mse", 0.0) >= DRAWN:  # type: ignore[operator]
            print(f"{key['run']}, seed {key['seed']}: does not draw the picture in the end", flush=True)
            rows.append(settings | error | counts)
            continue
        rows.append(settings | error | units(model) | counts | sweeps(model) | drop(network.losses))
        in_use.append(keyed(curve, key))
        layers.append(keyed(probes.feature_likeness.by_layer(probes.feature_likeness.of(model)), key))
        if network.losses is not None:
            every = -(-len(network.losses) // MOST_POINTS)
            losses.append(keyed(network.losses[::every].reset_index(drop=True), key))
        print(*(f"{name} {value}" for name, value in key.items() if value is not None), flush=True)
    for name, tables in {"twins": [pd.DataFrame(rows)], "units": in_use, "layers": layers, "losses": losses}.items():
        if tables:
            store(pd.concat(tables), out / f"skull_{name}.csv", digits=4)


if __name__ == "__main__":
    start(main, __doc__, data=True)
