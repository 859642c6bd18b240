"""t-SNE through a run: which steps, points and groups are drawn."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import interp
from interp import InterpError, Subject
from interp.errors import MissingCapability
from probes.analyses.clouds import _names, clouds
from probes.tsne import tsne
from tests.models import subject
from tests.probes.analyses.histories import filled, history


@pytest.fixture(scope="module")
def parity(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Parity of two of eight bits, memorised, then learned."""
    run = interp.train(
        "parity:n=8,k=2,n_train=100,n_test=40", "mlp:hidden=40", steps=800, checkpoints="every:50", metrics="every:10",
        weight_decay=0.01, out=tmp_path_factory.mktemp("parity") / "run", device="cpu",
    )  # fmt: skip
    return run.subject()


def test_groups_of_parity_are_their_bits(parity: Subject) -> None:
    """By the first two bits of every example, with the signs that they have."""
    index = torch.tensor([3, 50, 120, 7])
    inputs = parity.require_task().inputs[index]
    assert _names(parity, index) == [("+" if a > 0 else "-") + ("+" if b > 0 else "-") for a, b, *_ in inputs.tolist()]
    assert _names(subject("plain"), torch.tensor([0, 8])) == ["0", "2"]


def reached(one: Subject, part: str) -> int:
    curve = one.curves[f"{part}_accuracy"]
    at = next(s for i, (s, _) in enumerate(curve) if min(v for _, v in curve[i:]) >= 0.9)
    return next(s for s in one.series.steps if s >= at)  # type: ignore[union-attr]


@pytest.mark.parametrize("learned", ["train test", "train", ""])
def test_the_usual_steps(parity: Subject, learned: str) -> None:
    """The first, those at which train and test accuracy are there for good, and the last; fewer if they never are."""
    curves = {n: [(s, v if n.split("_")[0] in learned else 0.5) for s, v in c] for n, c in parity.curves.items()}
    one = replace(parity, curves=curves)
    expected = {0, *(reached(parity, part) for part in learned.split()), 800}
    found = clouds(one, points=20)
    assert found.metrics["steps"] == sorted(expected)
    assert list(found.figures) == [f"step {s}" for s in sorted(expected)]
    table = found.tables["points"]
    assert table.groupby("step").size().tolist() == [20] * len(expected)
    assert set(table["group"]) == {"++", "+-", "-+", "--"}
    assert set(table["example"]) <= set(range(140))
    assert {t.name for t in found.figures["step 0"].data} == set(table["group"])


def test_steps_and_sites_that_are_asked_for(demo: Subject) -> None:
    """Only those; activations are those of the step and the site, by t-SNE of what a plain pass gives."""
    steps = demo.series.steps  # type: ignore[union-attr]
    site = "blocks.0.mlp.hook_post"
    found = clouds(demo, steps=(steps[-1], steps[1]), points=30, site=site, perplexity=5.0, seed=3)
    assert found.metrics["steps"] == [steps[1], steps[-1]]
    index = torch.linspace(0, 53**2 - 1, 30).round().long()
    _, cache = demo.model.run_with_cache(demo.require_task().inputs[index])
    last = found.tables["points"].query(f"step == {steps[-1]}")
    assert last["example"].tolist() == index.tolist()
    assert last["group"].tolist() == [str(int(v)) for v in demo.require_task().labels[index]]
    placed = tsne(cache[site][:, -1], 5.0, 3)
    distances = [torch.cdist(p, p) for p in (placed, torch.tensor(last[["x", "y"]].to_numpy()))]
    assert torch.allclose(*distances, atol=1e-3 * float(distances[0].max()))


def test_refusals_of_clouds(demo: Subject, parity: Subject) -> None:
    """A step without a checkpoint, a site that is not a hidden layer, too few points, no hidden layer."""
    for options, match in (
        ({"steps": (0, 7)}, "no checkpoint at 7"), ({"site": "hook_embed"}, "one of"), ({"points": 4}, "points"),
        ({"points": 20, "perplexity": 0.5}, "perplexity"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=match):
            clouds(demo, **options)
    model = interp.HookedMLP(interp.MLPConfig((), 1, d_in=8)).double().init_weights(0)
    with pytest.raises(MissingCapability, match="needs hidden units"):
        clouds(history(replace(parity, model=model), {0: model, 5: model}))


@pytest.mark.parametrize("loss", ["vectors", "mse"])
def test_labels_of_a_regression(tmp_path: Path, loss: str) -> None:
    """The toy model's targets are vectors, its groups the sums; the result is a report's as any other."""
    model = "mlp:hidden=8,d_embed=2"
    settings = {"steps": 20, "checkpoints": "every:10", "device": "cpu", "out": tmp_path / "run"}
    run = interp.train(f"addition:p=5,loss={loss}", model, **settings)  # type: ignore[arg-type]
    found = clouds(run.subject(), steps=(0, 20))
    assert found.tables["points"]["group"].tolist() == [str(i + j) for i in range(5) for j in range(i, 5)] * 2
    json.loads(found.figures["step 0"].to_json())


@pytest.mark.parametrize("name", ["embeddings", "densities", "clouds"])
@pytest.mark.parametrize("step", [0, 10, 20])
def test_weights_that_are_not_finite(name: str, step: int) -> None:
    """A network that diverged at a step: the others are drawn, whichever it was."""
    one = subject("shared concat")
    models = {s: filled(one, math.nan) if s == step else one.model for s in (0, 10, 20)}
    outcome = interp.analyze(history(one, models), [name])[name]
    assert outcome.status in ("ok", "skipped"), outcome.error
