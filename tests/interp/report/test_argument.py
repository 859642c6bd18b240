"""What reports claim of networks that are known: one that computes with Fourier modes, one that memorised, one at random,
and one that gives the same answers by looking them up.
"""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import json
from pathlib import Path

import plotly
import pytest
import torch

import interp
from circuits.weight_sweeps.null_models import random_network
from interp.plugins.argument import Argument
from interp.report.thumbnails import thumbnail
from tests.conftest import DATA, ROOT
from tests.interp.cli.conftest import run  # noqa: F401
from tests.interp.cli.console import Run

DEMO = ROOT / "interp" / "demo" / "run"
MODES = ["performance", "fourier", "frequencies", "neurons", "clock_or_pizza"]
TOPIC = "it computes with Fourier modes"
GROUP_TOPIC = "it computes with irreducible representations"
P = 31


def verdicts(argument: Argument) -> dict[str, str]:
    return {p.claim.text: p.claim.verdict for p in argument.points}


def looking_up() -> interp.Subject:
    """A table: one hidden unit per pair, whose output weights are cosines of two frequencies of a + b - c."""
    config = interp.MLPConfig(hidden=(P * P,), d_out=P, d_vocab=P, d_embed=P)
    a, b = torch.meshgrid(torch.arange(P), torch.arange(P), indexing="ij")
    pairs = torch.arange(P * P)
    into = torch.zeros(2 * P, P * P)
    into[a.flatten(), pairs] = 1
    into[P + b.flatten(), pairs] = 1
    angle = 2 * torch.pi * ((a + b).flatten()[:, None] - torch.arange(P)) / P
    weights = {
        "embed.W_E": torch.eye(P), "layers.0.W": into, "layers.0.b": -torch.ones(P * P),
        "unembed.W_U": 20 * ((3 * angle).cos() + (5 * angle).cos()), "unembed.b_U": torch.zeros(P),
    }  # fmt: skip
    model = interp.HookedMLP.from_weights(config, weights)
    return interp.Subject("table", model, interp.ModularArithmetic(P, equals_token=False))


def test_a_table_of_answers_is_not_called_fourier_modes() -> None:
    """Its logits are those of a network that computes with modes, and all its answers are right; how it computes is not that."""
    found = interp.analyze(looking_up(), MODES).argument
    said = verdicts(found)
    assert said[f"It computes (a + b) mod {P}"] == "supported"
    assert said["Few frequencies of a + b make its logits"] == "supported"
    assert said["The key frequencies suffice"] == "supported"
    assert said["W_E holds its operands on the circles of these frequencies"] == "not supported"
    assert said["Its neurons compute with these frequencies"] == "not supported"
    assert said["The key frequencies are necessary in the embedding"] != "supported"
    assert "supported" not in [v for t, v in said.items() if t.startswith("It adds as a")]
    (topic,) = found.topics
    assert topic.verdict == "not supported"
    assert any("both should hold if" in sentence for sentence in found.contradictions)


def test_a_memorising_step_claims_neither_generalisation_nor_modes() -> None:
    subject = interp.load(DEMO, step=200)
    found = interp.analyze(subject, [*MODES, "curves"]).argument
    said = verdicts(found)
    assert said["It computes (a + b) mod 53"] == "in part"
    assert said["It grokked: it generalised long after it had memorised"] == "not supported"
    assert said["It generalises to examples that it was not trained on"] != "supported"
    assert all(topic.verdict == "not supported" for topic in found.topics)


def test_nothing_is_claimed_of_a_random_network() -> None:
    """Neither the task nor a mechanism; what would need a network that answers is not tested."""
    config = interp.TransformerConfig(
        n_layers=1, n_heads=2, d_model=32, d_head=16, d_mlp=32, d_vocab=P + 1, d_vocab_out=P, n_ctx=3
    )
    model = random_network(interp.HookedTransformer(config), 0)
    found = interp.analyze(
        interp.Subject("random", model, interp.ModularArithmetic(P)), [*MODES, "ablation", "circuit", "weights"]
    ).argument
    said = verdicts(found)
    assert said.pop("Its weights are all finite") == "supported"
    said.pop("Some of its hidden units are dead", None)  # true of any network
    assert not {t for t, v in said.items() if v in ("supported", "in part")}
    assert len(said) > 6


def test_without_a_task_the_argument_says_what_can_be_known(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(
        {"alpha": torch.outer(torch.ones(8), torch.arange(8.0)), "beta": torch.ones(3, 4, 5)}, tmp_path / "any.pt"
    )
    ran = run("analyze", "any.pt", "--explain")
    assert ran.code == 0, ran.err
    words = " ".join(ran.out.split())
    assert "No task is known" in words
    assert "Its weights are all finite: supported" in words
    assert "act along one direction alone: supported" in words
    data = json.loads((tmp_path / "report" / "result.json").read_text())["argument"]
    assert data["summary"][-1].startswith("No task is known")


def test_the_demo_argues(demo_report: Path) -> None:
    """The run that ships: what it does, how, and what proves it; every claim links to a section of the page."""
    data = json.loads((demo_report / "result.json").read_text())
    said = {c["text"]: c["verdict"] for c in data["argument"]["claims"]}
    assert said["It computes (a + b) mod 53"] == "supported"
    assert said["It grokked: it generalised long after it had memorised"] == "supported"
    assert data["argument"]["topics"][TOPIC] == {
        "verdict": "supported", "answers": {"6, 8, 24": ["fourier", "frequencies"]}
    }  # fmt: skip
    assert data["argument"]["contradictions"] == []
    page = (demo_report / "index.html").read_text()
    for one in data["argument"]["claims"]:
        assert f'href="#{one["analysis"]}"' in page
        assert f'id="{one["analysis"]}"' in page
    assert page.count("<svg viewBox") >= 10


def test_thumbnails_draw_what_figures_show() -> None:
    """Bars, curves, points and cells; a name is never markup."""
    figures = interp.figures
    bars = thumbnail(figures.bars(["<b>", "y"], [1.0, 2.0], title="", x_title="", y_title=""))
    assert bars.count("<rect") == 2
    assert "<b>" not in bars
    curve = thumbnail(figures.lines({"a": ([1, 2, 3], [1.0, float("nan"), 2.0])}, title="", x_title="", y_title=""))
    assert curve.count("<polyline") == 1
    assert "nan" not in curve
    cells = thumbnail(figures.heatmap([[0.0, 1.0], [2.0, 3.0]], title="", x_title="", y_title=""))
    assert cells.count("<rect") == 4
    stored = plotly.io.from_json(
        figures.heatmap(torch.rand(3, 5).numpy(), title="", x_title="", y_title="").to_json() or ""
    )
    assert thumbnail(stored).count("<rect") == 15


def test_a_parity_network_argues() -> None:
    """Built by hand: four units of the two bits that matter, and four of one that does not."""
    task = interp.SparseParity(n=8, k=2, n_train=100, n_test=60)
    signs = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    into = torch.zeros(8, 8)
    into[:2, :4], into[5, 4:] = signs.T, 0.1
    out = torch.tensor([1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0])[:, None]
    config = interp.MLPConfig(hidden=(8,), d_out=1, d_in=8)
    weights = {"layers.0.W": into, "layers.0.b": torch.zeros(8), "unembed.W_U": out, "unembed.b_U": torch.zeros(1)}
    subject = interp.Subject("parity", interp.HookedMLP.from_weights(config, weights), task)
    found = interp.analyze(subject, ["performance", "ablation", "circuit", "weights"])
    said = verdicts(found.argument)
    assert said["It gives the parity of the first 2 of 8 bits"] == "supported"
    assert said["It generalises to examples that it was not trained on"] == "supported"
    assert said["A small circuit of neurons suffices"] in ("supported", "in part")
    assert "%" in found.argument.points[0].claim.value  # a sample: the share has an interval


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "task", "topic", "verdict", "answer"),
    [
        ("grokking/wd_10-1_mod_addition_loss_curve.pth", None, TOPIC, "supported", "6, 23, 37, 39, 41"),
        ("groups/C113_T_seed1", "modular:p=113", TOPIC, "supported", "16, 30, 56"),
        (
            "groups/C113_MLP_seed1",
            "modular:p=113",
            TOPIC,
            "supported",
            "1, 4, 8, 11, 13, 16, 17, 22, 25, 32, 34, 44, 50",
        ),
        ("groups/S5_MLP_seed1", "S5_table.csv", GROUP_TOPIC, "in part", "s5_5d_a, sign, standard, standard_sign"),
        ("groups/S5_MLP_hidden_dim_32_seed1", "S5_table.csv", GROUP_TOPIC, "in part", "s5_5d_a, sign, standard"),
    ],
)
def test_real_networks(file: str, task: str | None, topic: str, verdict: str, answer: str) -> None:
    """The key parts that the authors name, and how far the tests bear them out."""
    if task is not None and task.endswith(".csv"):
        task = f"group:table={DATA / 'groups' / task}"
    names = [name for name in MODES if topic == TOPIC or name == "performance"]
    found = interp.analyze(interp.load(DATA / file, task=task), [*names, "representations"]).argument
    (one,) = found.topics
    assert (one.name, one.verdict, list(one.answers)) == (topic, verdict, [answer])
    assert found.contradictions == []


@pytest.mark.slow
@pytest.mark.real_data
def test_the_evolved_skull_is_the_unified_one() -> None:
    """In part: by its symmetry, against null models; by the rank of its changes untrained networks are as good."""
    folder = DATA / "picbreeder"
    found = interp.compare([folder / "skull.zip", folder / "fer" / "sgd_skull"], ["feature_maps", "sweeps"]).argument
    said = verdicts(found)
    assert said["By the antisymmetric share of a change, skull.zip is more unified than sgd_skull"] == "in part"
    assert said["By the symmetry of its units, skull.zip is more unified than sgd_skull"] == "in part"
    assert said["By the rank of the changes, skull.zip is more unified than sgd_skull"] == "not tested"
    (topic,) = found.topics
    assert list(topic.answers) == ["skull.zip is the unified one"]
    assert any("one training run" in sentence for sentence in found.summary)
    assert any("shuffled 0" in p.claim.against for p in found.points)  # a null model that changes nothing is named
