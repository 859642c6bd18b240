"""Phase diagrams of runs whose recorded accuracies were written by hand."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import interp
from interp import InterpError, Result, Run, Subject
from interp.errors import MissingCapability
from interp.phase_diagrams import PHASES, choose_axes, diagram_of
from interp.phase_diagrams.figure import COLORS
from interp.training import grid
from probes.analyses.phases import VERDICTS, phases
from tests.models import subject

STEPS = [0, 100, 500, 1_000, 2_000, 50_000]
TIMES: dict[str, tuple[int | None, int | None]] = {
    "comprehension": (100, 500), "grokking": (500, 2_000), "memorization": (100, None), "confusion": (None, None),
}  # fmt: skip
Made = Callable[[Sequence[Mapping[str, Any]], Sequence[str]], Subject]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A run of members with settings, each with the accuracies of a phase."""

    def make(members: Sequence[Mapping[str, Any]], learned: Sequence[str]) -> Subject:
        settings = {"steps": 1, "members": members, "device": "cpu", "out": tmp_path / "run"}
        run = interp.train("addition:p=20", "mlp:hidden=3,d_embed=1", **settings)  # type: ignore[arg-type]
        lines = []
        for step in STEPS:
            for member, name in enumerate(learned):
                values = [0.95 if at is not None and step >= at else 0.3 for at in TIMES[name]]
                row = {"step": step, "member": member, "train_accuracy": values[0], "test_accuracy": values[1]}
                lines.append(json.dumps(row))
        (run.path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        return run.subject()

    return make


def shown(figure: Any) -> dict[tuple[str, str], str]:
    """What a diagram shows: the phase by the labels of the axes, of the cells that have one."""
    names = [figure.layout.xaxis.ticktext, figure.layout.yaxis.ticktext]
    return {
        (names[0][j], names[1][i]): heat.name
        for heat in figure.data if heat.type == "heatmap"
        for i, row in enumerate(heat.z) for j, sure in enumerate(row) if sure is not None
    }  # fmt: skip


def cells(found: Result) -> dict[tuple[str, str], str]:
    return shown(found.figures["phase diagram"])


def hovers(figure: Any) -> list[list[str]]:
    """The lines on hover over each cell: its settings, its majority, its share, and its networks."""
    (first, *_) = (t for t in figure.data if t.type == "heatmap")
    return [text.split("<br>") for row in first.text for text in row if text]


def test_a_grid_of_all_phases(made: Made) -> None:
    """Two by three cells in their places; colours, counts, and what stands on hover."""
    members = grid({"lr": [0.1, 0.001, 0.01], "weight_decay": [2.0, 0.5]})
    order = ["comprehension", "grokking", "memorization", "confusion", "grokking", "grokking"]
    found = phases(made(members, order))
    assert (found.metrics["x"], found.metrics["y"]) == ("lr", "weight_decay")
    assert cells(found) == {
        (f"{m['lr']:.3g}", f"{m['weight_decay']:.3g}"): phase for m, phase in zip(members, order, strict=True)
    }
    assert {p: found.metrics[p] for p in PHASES} == {p: order.count(p) for p in PHASES}
    assert found.headline == "6 networks: 1 comprehension, 3 grokking, 1 memorization, 1 confusion"
    figure = found.figures["phase diagram"]
    assert figure.layout.xaxis.ticktext == ("0.001", "0.01", "0.1")
    assert figure.layout.yaxis.ticktext == ("0.5", "2")
    texts = {lines[-1].partition(", at best")[0] for lines in hovers(figure)}
    assert texts == {
        "comprehension: train at 100, test at 500", "grokking: train at 500, test at 2,000",
        "memorization: train at 100, test at never", "confusion: train at never, test at never",
    }  # fmt: skip
    for phase in PHASES:
        heat, key = (t for t in figure.data if t.name == phase)
        assert heat.colorscale[1][1] == f"rgba{(*bytes.fromhex(key.marker.color[1:]), 1)}".replace(" ", "")
    assert found.tables["phases"]["member"].tolist() == list(range(6))


def test_steps_until_they_learn(made: Made) -> None:
    """Medians in their logarithm; blank where none did, and no figure where nobody did."""
    members = grid({"lr": [0.1, 0.2], "seed": [0, 1, 2]})
    found = phases(made(members, ["comprehension", "grokking", "memorization", *["confusion"] * 3]))
    memorise = found.figures["steps to memorise"].data[0]
    assert memorise.z == pytest.approx(np.log10([[100, math.nan]]), nan_ok=True)
    assert found.figures["steps to generalise"].data[0].z == pytest.approx(
        np.log10([[(500 + 2_000) / 2, math.nan]]), nan_ok=True
    )


def test_nobody_learned(made: Made) -> None:
    """Confusion alone: a diagram of one colour without lines, no steps, and a note on how short the run was."""
    found = phases(made(grid({"lr": [0.1, 0.2]}), ["confusion"] * 2))
    assert set(found.figures) == {"phase diagram"}
    assert "boundaries" not in {t.name for t in found.figures["phase diagram"].data}
    assert any("50,000 steps; Liu et al. allow 100,000, by which 2 of these networks are" in n for n in found.notes)


def test_repetitions_share_a_cell(made: Made) -> None:
    """The commonest phase of the seeds; all of them on hover, up to eight."""
    members = grid({"seed": range(10), "lr": [0.1, 0.2]})
    order = ["grokking" if i % 2 else "confusion" if i < 8 else "memorization" for i in range(20)]
    found = phases(made(members, order))
    assert (found.metrics["x"], found.metrics["y"]) == ("lr", None)
    assert set(cells(found).values()) == {"memorization", "grokking"}
    assert all(lines[-1] == "and 2 more" and len(lines) == 4 + 8 for lines in hovers(found.figures["phase diagram"]))
    assert any("differ in seed." in note for note in found.notes)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (None, None, ("lr", "l1")), ("l1", None, ("l1", "lr")), (None, "lr", ("l1", "lr")),
        ("seed", None, ("seed", "lr")), ("seed", "l1", ("seed", "l1")), (None, "seed", ("lr", "seed")),
    ],
)  # fmt: skip
def test_axes(x: str | None, y: str | None, expected: tuple[str, str]) -> None:
    """Those asked for, else the first that differ, seeds last."""
    assert choose_axes(["seed", "lr", "l1"], x, y) == expected


def test_axes_of_few_settings() -> None:
    """One setting, seeds alone, none."""
    assert choose_axes(["lr"], None, None) == ("lr", None)
    assert choose_axes(["seed", "data_seed"], None, None) == ("seed", None)
    assert choose_axes([], None, None) == (None, None)
    assert choose_axes(["lr"], None, "lr")[1] == "lr"


@pytest.mark.parametrize(
    "options", [{"x": "lrr"}, {"y": "weight_decay"}, {"threshold": 1.2}, {"side": "<"}, {"reached": "never"}]
)
def test_refusals(made: Made, options: dict[str, Any]) -> None:
    """Settings in which the members do not differ, an accuracy that none is."""
    one = made(grid({"lr": [0.1, 0.2]}), ["grokking"] * 2)
    with pytest.raises(InterpError, match=r"known: lr|threshold|side|reached"):
        phases(one, **options)


def test_only_seeds_differ(made: Made) -> None:
    """A row of cells."""
    found = phases(made(interp.seeds(4), list(TIMES)))
    assert (found.metrics["x"], found.metrics["y"]) == ("seed", None)
    assert list(cells(found).values()) == list(TIMES)


def test_members_that_are_all_alike(made: Made) -> None:
    """No setting differs: a cell per network."""
    found = phases(made([{"seed": 0}] * 3, ["grokking", "confusion", "grokking"]))
    assert found.metrics["x"] is None
    assert [phase for _, phase in sorted(cells(found).items())] == ["grokking", "confusion", "grokking"]


def test_settings_that_are_words(made: Made) -> None:
    """In the order of the alphabet."""
    members = [{"lr": 0.1, "split": "torch"}, {"lr": 0.2, "split": "python"}]
    found = phases(made(members, ["grokking", "confusion"]))
    assert (found.metrics["x"], found.metrics["y"]) == ("lr", "split")
    assert cells(found) == {("0.1", "torch"): "grokking", ("0.2", "python"): "confusion"}
    assert found.figures["phase diagram"].layout.yaxis.ticktext == ("python", "torch")


@pytest.mark.parametrize("name", ["lr", "split"])
def test_members_without_a_value_of_their_own(made: Made, name: str) -> None:
    """They have the run's: all of them share one cell, beside that of the others (a number, or a word)."""
    own = {"lr": 0.5, "split": "torch"}[name]
    one = made([{"seed": 0}, {"seed": 1}, {"seed": 2, name: own}], ["grokking", "grokking", "confusion"])
    found = phases(one, x=name)
    assert sorted(cells(found).values()) == ["confusion", "grokking"]
    assert len(found.figures["phase diagram"].layout.xaxis.ticktext) == 2


def test_limits(made: Made) -> None:
    """A larger gap: comprehension; a shorter limit: memorization, then confusion; 0.96 is never reached."""
    one = made([{"lr": 0.1}, {"lr": 0.2}], ["grokking", "grokking"])
    for options, phase in (
        ({}, "grokking"), ({"gap": 1_501}, "comprehension"), ({"gap": 1_500}, "grokking"),
        ({"limit": 2_000}, "grokking"), ({"limit": 1_999}, "memorization"),
        ({"limit": 499}, "confusion"), ({"threshold": 0.96}, "confusion"),
        ({"limit": 60_000, "threshold": 0.96}, "undecided"), ({"limit": 60_000}, "grokking"),
    ):  # fmt: skip
        assert phases(one, **options).metrics[phase] == 2, options
    assert any("2 of 2 networks were trained too short" in n for n in phases(one, limit=60_000, threshold=0.96).notes)
    assert not phases(one, limit=1_999).notes


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_lines_between_phases(share: float) -> None:
    """By brute force: a line between two cells of different phases, none between two alike or two blank ones."""
    for seed in range(5):
        draw = np.random.default_rng(seed)
        rows = [(a, b, VERDICTS[draw.integers(5)]) for a in range(5) for b in range(4) if draw.random() < share]
        figure: Any = diagram_of(pd.DataFrame(rows, columns=["a", "b", "phase"]), ["a", "b"]).figure()
        xs, ys = (sorted({row[side] for row in rows}) for side in (0, 1))
        phase = {(xs.index(a), ys.index(b)): p for a, b, p in rows}
        heat, (lines,) = figure.data[0], (t for t in figure.data if t.name == "boundaries")
        ends = list(zip(lines.x, lines.y, strict=True))
        edges = {(*ends[k], *ends[k + 1]) for k in range(0, len(ends), 3)}
        assert len(edges) == len(ends) / 3
        for x, y, (dx, dy) in itertools.product(range(len(xs)), range(len(ys)), ((1, 0), (0, 1))):
            one, other = phase.get((x, y)), phase.get((x + dx, y + dy))
            if x + dx < len(xs) and y + dy < len(ys):
                edge = (heat.x[x + dx], heat.y[y + dy], heat.x[x + 1], heat.y[y + 1])
                assert (edge in edges) == (one != other), (seed, edge)


def test_a_run_that_recorded_no_accuracy_refusals(tmp_path: Path) -> None:
    """An image: told in a sentence, and skipped by the host as anything that does not apply."""
    from PIL import Image

    Image.fromarray(np.eye(6, dtype=np.uint8)[..., None].repeat(3, 2) * 255).save(tmp_path / "target.png")
    settings = {"steps": 2, "members": interp.seeds(2), "device": "cpu", "out": tmp_path / "run"}
    task = f"image:target={tmp_path / 'target.png'},size=6"
    run = interp.train(task, interp.CPPNConfig("1;gaussian:2"), **settings)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="recorded accuracies"):
        phases(run.subject())
    assert interp.analyze(run.subject(), ["phases"])["phases"].status == "skipped"


def test_a_single_network_is_no_grid(made: Made) -> None:
    """The capability is missing, of a run of one and of what was made in memory; ten members have it."""
    one = made([{"seed": 0}], ["grokking"])
    for lone in (one, subject("plain")):
        assert lone.lacks(["members"]) == ["needs a run of several networks (train with --seeds or --grid)"]
        with pytest.raises((InterpError, MissingCapability), match="several networks"):
            phases(lone)
        assert interp.analyze(lone, ["phases"])["phases"].status == "skipped"


def test_any_member_speaks_for_its_run(made: Made) -> None:
    """Every member has the capability, and the same result."""
    run = Run(made(grid({"lr": [0.1, 0.2]}), ["grokking", "confusion"]).origin["source"])
    assert [(s.members, s.lacks(["members"])) for s in run.subjects] == [(2, [])] * 2
    assert phases(run.subject()).metrics == phases(run.subject(1)).metrics


def test_undecided_networks(made: Made) -> None:
    """They have a colour of their own, which the legend has where there are some; on hover stands why."""
    one = made(grid({"lr": [0.1, 0.2]}), ["grokking", "confusion"])
    assert "undecided" not in {t.name for t in phases(one).figures["phase diagram"].data}
    table = pd.DataFrame({"lr": [0.1, 0.2], "phase": ["undecided", "confusion"], "train_at": 1.0, "test_at": math.nan})
    drawn: Any = diagram_of(table.assign(why=["tie", ""]), ["lr"]).figure()
    assert "undecided (tie): train at 1, test at never" in hovers(drawn)[0]
    assert COLORS["undecided"] in {t.marker.color for t in drawn.data if t.type == "scatter"}


def test_two_phases_equally_common(made: Made) -> None:
    """A cell whose networks are of two phases, half of them each, is undecided, as in `Run.phase_diagram`."""
    one = made(grid({"lr": [0.1, 0.2], "seed": [0, 1]}), ["grokking", "confusion", "grokking", "grokking"])
    assert cells(phases(one)) == {("0.1", "0"): "undecided", ("0.2", "0"): "grokking"}
    assert one.run is not None
    assert shown(one.run.phase_diagram().figure()) == cells(phases(one))
