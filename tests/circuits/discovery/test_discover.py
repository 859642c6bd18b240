"""`discover`: planted circuits are found, nothing in them is idle, and the whole story adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import torch

import interp
from circuits import Zero, ablate, applied, discover
from circuits.analyses.circuit import circuit
from circuits.discovery.discover import Circuit
from circuits.discovery.over_training import necessary_from, necessity
from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability, UnknownName
from tests.models import subject

NEEDED = [2, 5]


def planted(scale: float = 1.0) -> Subject:
    """(a + b) mod 2 by units 2 and 5 of 8; the others fire, and write almost nothing.

    Unit 2 is a + b, unit 5 is relu(a + b - 1); the logit of 1 is 4 (unit 2) - 8 (unit 5) - 2, that of 0 is 0. ``scale`` is that
    of the weights behind unit 5: with 0 it does not matter.
    """
    generator = torch.Generator().manual_seed(0)
    W, b = torch.rand(2, 8, generator=generator), torch.rand(8, generator=generator)
    W_U = 0.01 * torch.randn(8, 2, generator=generator)
    W[:, NEEDED], b[NEEDED] = 1.0, torch.tensor([0.0, -1.0])
    W_U[2], W_U[5] = torch.tensor([0.0, 4.0]), scale * torch.tensor([0.0, -8.0])
    weights = {
        "embed.W_E": torch.tensor([[0.0], [1.0]]), "layers.0.W": W, "layers.0.b": b,
        "unembed.W_U": W_U, "unembed.b_U": torch.tensor([0.0, -2.0]),
    }  # fmt: skip
    model = HookedMLP.from_weights(
        MLPConfig((8,), 2, d_vocab=2, d_embed=1), {k: v.double() for k, v in weights.items()}
    )
    return Subject("planted", model, ModularArithmetic(2, "add", 0.5).fit(model))


@pytest.mark.parametrize("metric", ["accuracy", "loss", "kl"])
@pytest.mark.parametrize("order", ["effects", "attribution"])
def test_a_planted_circuit_is_found(order: Literal["effects", "attribution"], metric: str) -> None:
    """By every metric, in either order."""
    found = discover(planted(), metric=metric, faithfulness=0.95, order=order, value=Zero())
    assert found.components == [f"L0N{i}" for i in NEEDED]
    assert found.faithfulness >= 0.95
    assert found.completeness < 0.05 < found.minimality
    assert (found.random["faithfulness"] < found.faithfulness).all()


def test_planted_weights_are_found() -> None:
    """Of 8 x 2 + 2 x 8 weights those of the two units, but for that half of the outputs which is 0."""
    found = discover(planted(), of="edges", value=Zero())
    behind = {f"in{i} > L0N{u}" for i in (0, 1) for u in NEEDED} | {f"L0N{u} > out1" for u in NEEDED}
    assert set(found.components) == behind
    assert found.score == 1.0


@pytest.mark.parametrize("name", ["two layers", "layer norm", "gated", "deep"])
@pytest.mark.parametrize("of", ["nodes", "edges"])
def test_what_is_found_is_minimal(name: str, of: Literal["nodes", "edges"]) -> None:
    """On a random network: at least the faithfulness asked for, and less without any one element."""
    found = discover(subject(name), metric="loss", faithfulness=0.9, of=of, n_random=4)
    assert found.faithfulness >= 0.9
    kept = found.elements.query("kept")
    assert 0 < len(kept) < len(found.elements)
    assert (found.faithfulness - kept["faithfulness_lost"] < 0.9).all()
    assert found.minimality == kept["faithfulness_lost"].min()
    assert found.elements.query("not kept")["score"].isna().all()
    assert found.random["faithfulness"].max() < found.faithfulness


def test_the_circuit_runs_by_itself() -> None:
    """Its interventions give its score on the user's own model."""
    one = planted()
    found = discover(one)
    task = one.require_task()
    with torch.no_grad(), applied(one, list(found.interventions)):
        assert float(task.correct(task.read(one.model(task.inputs))).double().mean()) == found.score
    assert "2 of 8 elements: accuracy 1" in repr(found)


def test_a_metric_of_the_users_own() -> None:
    """A function of the outputs, on inputs of the user's own, without a task."""
    one = Subject("no task", planted().model)
    inputs = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])

    def parity(outputs: torch.Tensor) -> torch.Tensor:
        """The smallest margin of a right answer."""
        return ((outputs[:, 1] - outputs[:, 0]) * torch.tensor([-1.0, 1.0, 1.0, -1.0])).min()

    found = discover(one, metric=parity, inputs=inputs, faithfulness=0.95)
    assert found.components == [f"L0N{i}" for i in NEEDED]
    assert (found.metric, found.clean) == ("parity", pytest.approx(2.0, abs=0.2))


def test_refusals() -> None:
    with pytest.raises(InterpError, match="nothing that a circuit could do"):
        discover(planted(), metric=lambda outputs: outputs[:, 0] * 0)
    with pytest.raises(InterpError, match="faithfulness"):
        discover(planted(), faithfulness=1.5)
    with pytest.raises(MissingCapability):
        discover(Subject("no task", planted().model))
    with pytest.raises(InterpError, match="no heads to search"):
        discover(planted(), kinds=("heads",))


@pytest.mark.parametrize(
    ("given", "message"),
    [({"of": "edge"}, "did you mean 'edges'"), ({"order": "efects"}, "did you mean 'effects'"),
     ({"kinds": "neuron"}, "did you mean 'neurons'"), ({"kinds": ["head"]}, "did you mean 'heads'"),
     ({"value": "men"}, "did you mean 'mean'"), ({"metric": "acuracy"}, "did you mean 'accuracy'")],
)  # fmt: skip
def test_names_that_do_not_exist(given: dict, message: str) -> None:
    """Refused with the nearest."""
    with pytest.raises(UnknownName, match=message):
        discover(planted(), **given)


def test_names_and_former_names() -> None:
    """A value by its name, one kind by itself, and the former name of the faithfulness."""
    by_name = discover(planted(), value="zero", kinds="neurons")
    assert by_name.components == discover(planted(), value=Zero()).components
    with pytest.warns(DeprecationWarning, match="faithfulness"):
        former = discover(planted(), keep=0.95, value="zero")
    assert former.target == 0.95
    with pytest.warns(DeprecationWarning, match="target"):
        assert former.keep == 0.95
    with pytest.raises(InterpError, match="interp.load"):
        discover("a/path")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="needs a Circuit"):
        necessity(planted(), planted())  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="table that"):
        necessary_from(planted())  # type: ignore[arg-type]


def series(folder: Path) -> Subject:
    """Unit 5 comes to matter at step 20."""
    for step, scale in ((0, 0.0), (10, 0.2), (20, 0.8), (30, 1.0)):
        one = planted(scale)
        interp.save(one.model, folder / f"step_{step}.safetensors", step=step, task=one.task)
    return interp.load(folder)


def test_when_each_component_became_necessary(tmp_path: Path) -> None:
    """Unit 2 from the start (without it nothing is right but by chance), unit 5 from where the answers of (1, 1) turn."""
    one = series(tmp_path)
    found = discover(one, value=Zero())
    seen: list[tuple[int, int]] = []
    table = necessity(one, found, value=Zero(), progress=lambda *x: seen.append(x))
    assert seen[-1] == (4, 4)
    assert table.groupby("component")["worth"].last().to_dict() == {"L0N2": 0.5, "L0N5": 0.25}
    assert table.query("component == 'L0N5'")["worth"].tolist() == [0.0, 0.0, 0.25, 0.25]
    assert necessary_from(table).set_index("component")["step"].to_dict() == {"L0N2": 0, "L0N5": 20}
    assert necessity(one, found, every=3, value=Zero())["step"].unique().tolist() == [0, 30]
    with pytest.raises(MissingCapability, match="checkpoint"):
        necessity(planted(), found)
    with pytest.raises(InterpError, match="8 elements are not those"):
        necessity(one, Circuit(**{**vars(found), "elements": found.elements.assign(component="other")}))


def backed_up() -> Subject:
    """The planted network with unit 3 a copy of unit 2, twice as strong together: either does without the other."""
    one = planted()
    with torch.no_grad():
        first, last = one.model.layer(0), one.model.unembed  # type: ignore[attr-defined]
        first.W[:, 3], first.b[3], last.W_U[3] = first.W[:, 2], first.b[2], last.W_U[2]
        last.W_U[5] *= 2
    return one


def test_worth_is_that_in_the_circuit(tmp_path: Path) -> None:
    """Unit 2 is backed up by its copy in the whole network, and by nothing in the circuit, where half of the answers go."""
    end = backed_up()
    for step in (0, 10):
        interp.save(end.model, tmp_path / f"step_{step}.safetensors", step=step, task=end.task)
    one = interp.load(tmp_path)
    whole = ablate(one, "neurons", value=Zero()).set_index("component")["accuracy_change"]
    assert whole[["L0N2", "L0N3"]].tolist() == [0.0, 0.0]
    found = discover(one, value="zero")
    (copy,) = {"L0N2", "L0N3"} & {*found.components}
    assert found.components == sorted([copy, "L0N5"])
    worth = necessity(one, found, value="zero")
    assert worth.query(f"component == '{copy}'")["worth"].tolist() == [0.5, 0.5]
    assert worth["circuit"].tolist() == worth["network"].tolist() == [1.0] * 4
    tidy = worth.table
    assert tidy["changed"].tolist() == (worth["circuit"] - worth["worth"]).tolist()
    assert set(tidy["site"]) == {"layers.0.hook_post"}
    assert len(worth.figure().data) == 4
    assert necessary_from(worth).table["changed"].tolist() == [0.0, 0.0]


def test_a_component_that_is_worth_nothing_at_the_end() -> None:
    table = pd.DataFrame({"step": [0, 1], "component": ["a", "a"], "worth": [1.0, 0.0]})
    assert necessary_from(table)["step"].isna().all()


def test_the_analysis(tmp_path: Path) -> None:
    """Tables, figures and a headline that says what was found."""
    result = circuit(series(tmp_path), value="zero", n_random=3)
    assert (result.metrics["nodes"], result.metrics["nodes_accuracy"]) == (2, 1.0)
    assert (result.metrics["first_necessary_step"], result.metrics["last_necessary_step"]) == (0, 20)
    assert result.headline.startswith(
        "2 of 8 heads and neurons (2 at layers.0.hook_post) reach accuracy 1.0000 (whole network 1.0000, best of 3 random"
    )
    assert len(result.tables["nodes"]) == 8
    figure = result.figures["circuit of nodes"]
    assert [len(trace.x) for trace in figure.data] == [6, 2]
    two = circuit(subject("two layers"), faithfulness=0.5, n_random=2)
    assert two.metrics["edges_in_all"] == 75
    drawn = [t for t in two.figures["circuit of edges"].data if t.mode == "lines"]
    assert len(drawn) == two.metrics["edges"] > 0
