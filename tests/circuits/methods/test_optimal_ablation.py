"""Optimal ablation: the constants are as good as they say, better than the mean and zero, and optimal where that is known."""

from __future__ import annotations

import pytest
import torch

import circuits
from circuits import applied
from circuits.interventions.kinds import Ablate
from interp import HookedMLP, InterpError, MLPConfig
from interp.errors import UnknownName
from tests.circuits.methods.test_methods import model_of
from tests.models import subject


@pytest.mark.parametrize(("name", "kind"), [("two layers", "heads"), ("layer norm", "mlp"), ("deep", "neurons")])
def test_no_constant_tried_is_better(name: str, kind: str) -> None:
    """Never worse than the mean and zero, whose effects are those of `ablate`."""
    one = subject(name)
    found = circuits.optimal_ablation(one, kind, steps=20)  # type: ignore[arg-type]
    for value in ("mean", "zero"):
        ablated = circuits.ablate(one, kind, value=value)  # type: ignore[arg-type]
        own = found.nodes[f"{value}_effect"].to_list()
        assert own == pytest.approx(ablated["loss_change"].to_list(), rel=1e-8, abs=1e-9)
        assert (found.nodes["effect"] <= found.nodes[f"{value}_effect"] + 1e-12).all()
    assert (found.nodes["effect"] < found.nodes[["mean_effect", "zero_effect"]].min(axis=1) - 1e-6).any()


@pytest.mark.parametrize("name", ["two layers", "layer norm"])
def test_constants_put_in_place_give_their_effect(name: str) -> None:
    one = subject(name)
    task, model = one.require_task(), model_of(one)
    found = circuits.optimal_ablation(one, steps=5)
    for row in found.nodes.to_dict("records")[::2]:
        with applied(model, found.ablation(row["component"])), torch.no_grad():
            loss = task.losses(task.read(model(task.inputs)), task.labels).mean()
        assert float(loss) == pytest.approx(found.clean + row["effect"], rel=1e-9)


def test_the_optimum_of_a_linear_network_is_known() -> None:
    """The squared error of a sum is least at the mean of what the unit would have added; the median for the size of an error."""
    model = HookedMLP(MLPConfig((2,), 1, d_in=2, act_fn="relu")).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.layer(0).W[:] = torch.eye(2)
        model.unembed.W_U[:] = torch.ones(2, 1)
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [10.0, 2.0], [1.0, 3.0], [2.0, 4.0]]).double()
    truth = model(inputs).detach()
    site = "layers.0.hook_post"

    def near(outputs: torch.Tensor) -> torch.Tensor:
        return -(outputs - truth).abs().sum(-1)

    found = circuits.optimal_ablation(model, "neurons", inputs=inputs, metric=near, steps=300)
    assert [float(found.values[f"L0N{i}"].tensor[0, i]) for i in range(2)] == pytest.approx([1, 2], abs=0.02)
    assert found.nodes["effect"].to_list() == pytest.approx([-12 / 5, -6 / 5], abs=0.02)
    assert found.nodes["mean_effect"].to_list() == pytest.approx([-14.8 / 5, -6 / 5])
    assert isinstance(found.ablation("L0N1"), Ablate)
    by_site = circuits.optimal_ablation(model, inputs=inputs, metric=near, site=site, steps=300)
    assert by_site.nodes["effect"].to_list() == pytest.approx(found.nodes["effect"].to_list())


def test_refusals() -> None:
    one = subject("two layers")
    with pytest.raises(InterpError, match="accuracy has none"):
        circuits.optimal_ablation(one, metric="accuracy")
    with pytest.raises(InterpError, match="lr must be a finite number above 0"):
        circuits.optimal_ablation(one, lr=-1.0)
    with pytest.raises(UnknownName, match="did you mean 'L0H1'"):
        circuits.optimal_ablation(one, steps=1).ablation("L0 H1")
