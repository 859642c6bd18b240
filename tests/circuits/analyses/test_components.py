"""The analysis ``components``: its numbers are those of the curves, its words say them, and a run is followed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import interp
from circuits.analyses.components import components_analysis, main_sites
from circuits.compression.derived import scores_of
from circuits.compression.low_rank import rank_curve
from circuits.compression.projection import component_curve
from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import UnknownSite
from interp.plugins.result import check_result
from interp.tasks import Examples
from tests.models import make, subject


def adder() -> Subject:
    """Right on every sum mod 5: a unit for each pair reads one-hot embeddings, which stand on 5 of 8 axes."""
    p = 5
    W_E = torch.cat([torch.eye(p), torch.zeros(p, 3)], 1)
    W, W_U = torch.zeros(16, p * p), torch.zeros(p * p, p)
    for i, (x, y) in enumerate((x, y) for x in range(p) for y in range(p)):
        W[x, i] = W[8 + y, i] = 1.0
        W_U[i, (x + y) % p] = 4.0
    weights = {"embed.W_E": W_E, "layers.0.W": W, "layers.0.b": -torch.ones(p * p), "unembed.W_U": W_U,
               "unembed.b_U": torch.zeros(p)}  # fmt: skip
    model = HookedMLP.from_weights(MLPConfig((p * p,), p, d_vocab=p, d_embed=8), weights)
    return Subject("adder", model.double(), ModularArithmetic(p).fit(model))


def test_its_numbers_are_those_of_the_curves() -> None:
    """The fewest components and the lowest rank that are enough, searched over all; centred one-hots of 5 span 4 of 8."""
    one = adder()
    result = components_analysis(one, accuracy=0.99, dtype="float64")
    check_result(result)
    for site, dim in (("hook_embed", 8), ("layers.0.hook_post", 25)):
        every = component_curve(one, site, amounts=range(dim + 1))
        enough = every[every["accuracy"] >= 0.99]["components"]
        assert result.metrics[f"components_of_{site}"] == enough.min()
        assert result.metrics[f"dimensions_of_{site}"] == dim
        assert f"{enough.min()} of {dim} components of {site} keep 0.99 of the accuracy" in result.headline
        own = result.tables["components"].query(f"site == '{site}'").drop(columns="site").set_index("components")
        for n, row in own.iterrows():
            assert row.to_dict() == pytest.approx(every.set_index("components").loc[n].to_dict(), abs=1e-9)
    assert 1 < result.metrics["components_of_hook_embed"] <= 4
    every = rank_curve(one, ranks=range(1, result.metrics["full_rank"] + 1))
    rank = every[every["accuracy"] >= 0.99]["rank"].min()
    assert result.metrics["rank"] == rank
    assert f"rank {rank} of {result.metrics['full_rank']} of all matrices" in result.headline
    ranks = result.tables["ranks"]
    assert set(ranks["same"]) == {"rank", "error"}
    at = ranks[(ranks["same"] == "rank") & (ranks["rank"] == rank)]
    assert result.metrics["parameters_at_rank"] == at["parameters"].item()
    assert result.metrics["parameters"] == sum(p.numel() for p in one.model.parameters() if p.ndim > 1)
    for name, figure in result.figures.items():
        assert figure.layout.xaxis.title.text, name
        assert figure.layout.yaxis.title.text, name


@pytest.mark.parametrize("name", ["plain", "layer norm", "norm last", "gated", "no mlp", "deep", "per operand"])
def test_any_network(name: str) -> None:
    """A random one, in which nothing need be kept by few."""
    one = subject(name)
    result = components_analysis(one)
    check_result(result)
    sites = main_sites(one.model)
    assert sites[0] == "hook_embed"
    assert set(result.tables["components"]["site"]) == set(sites)
    assert result.metrics["accuracy"] == pytest.approx(scores_of(one).accuracy)


def test_main_sites() -> None:
    posts = [f"blocks.{i}.{name}" for i in (0, 1) for name in ("mlp.hook_post", "hook_resid_post")]
    assert sorted(main_sites(make("two layers"))) == sorted(["hook_embed", *posts])
    assert main_sites(make("shared sum")) == ["hook_embed", "layers.0.hook_post", "layers.1.hook_post"]
    assert main_sites(HookedMLP(MLPConfig((4,), 2, d_in=3))) == ["hook_input", "layers.0.hook_post"]


def test_a_regression_is_judged_by_its_loss() -> None:
    """Targets are two of three inputs: with all three coordinates held at the mean nothing is left."""
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = HookedMLP(MLPConfig((), 2, d_in=3)).double().init_weights(0)
    targets = model(inputs).detach()
    one = Subject("fit", model, Examples(inputs, targets, loss="regression"))
    result = components_analysis(one, accuracy=0.9, dtype="float64")
    check_result(result)
    curve = component_curve(one, "hook_input")
    nothing = curve["loss"].iloc[0]
    enough = curve[nothing - curve["loss"] >= 0.9 * (nothing - curve["loss"].iloc[-1])]["components"].min()
    assert result.metrics["components_of_hook_input"] == enough
    assert "0.9 of the fall of the loss" in result.headline
    assert not any("accuracy" in name for name in result.figures)


def series(folder: Path) -> Subject:
    """Three checkpoints of the adder: noise, half way, the end."""
    end = adder().model
    assert isinstance(end, HookedMLP)
    start = HookedMLP(end.config).double().init_weights(3)
    for step, share in ((0, 0.0), (50, 0.7), (100, 1.0)):
        mixed = {n: (1 - share) * a + share * b for (n, a), b in
                 zip(start.state_dict().items(), end.state_dict().values(), strict=True)}  # fmt: skip
        interp.save(HookedMLP.from_weights(end.config, mixed), folder / f"step_{step}.safetensors", step=step)
    return interp.load(folder, task=adder().task)


def test_the_start_of_a_run(tmp_path: Path) -> None:
    """The first checkpoint on the last one's components, and each checkpoint held to them."""
    one = series(tmp_path)
    result = components_analysis(one, dtype="float64")
    check_result(result)
    n, table = result.metrics["components_of_hook_embed"], result.tables["over the run"]
    assert table["step"].tolist() == [0, 50, 100]
    assert one.series is not None
    first = Subject("first", one.series[0].double(), one.task)
    by_end = component_curve(first, "hook_embed", basis_from=one, amounts=[n]).iloc[0]
    by_own = component_curve(first, "hook_embed", amounts=[n]).iloc[0]
    row = table.iloc[0]
    assert (row["end_explained"], row["own_explained"]) == pytest.approx((by_end["explained"], by_own["explained"]))
    assert (row["end_accuracy"], row["own_accuracy"]) == (by_end["accuracy"], by_own["accuracy"])
    assert row["whole_accuracy"] == scores_of(first).accuracy
    assert table.iloc[-1]["end_accuracy"] == table.iloc[-1]["own_accuracy"] == 1.0
    assert result.metrics["start_variance_in_hook_embed"] == pytest.approx(by_end["explained"])
    assert (
        f"at step 0 the {n} components of hook_embed hold {by_end['explained']:.1%} of its variance" in result.headline
    )
    assert "start at hook_embed" in result.figures
    assert "over the run" not in components_analysis(one, checkpoints=0).tables


def test_sites_and_bad_input() -> None:
    one = subject("two layers")
    chosen = components_analysis(one, sites="blocks.*.mlp.hook_post")
    assert list(chosen.tables["components"]["site"].unique()) == ["blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"]
    with pytest.raises(UnknownSite):
        components_analysis(one, sites="nowhere")
    with pytest.raises(InterpError, match="feature axis"):
        components_analysis(one, sites="blocks.0.attn.hook_z")
    with pytest.raises(InterpError, match="accuracy must be"):
        components_analysis(one, accuracy=1.5)
    with pytest.raises(InterpError, match="needs a task"):
        components_analysis(Subject("alone", make("plain")))
    broken = subject("plain")
    broken.model.W_U.data[0, 0] = float("inf")  # type: ignore[union-attr]
    with pytest.raises(InterpError, match="NaN or infinity"):
        components_analysis(broken)


def test_the_former_option() -> None:
    """keep is accuracy."""
    with pytest.warns(DeprecationWarning, match=r"components\.keep is now components\.accuracy"):
        former = components_analysis(adder(), keep=0.5)
    assert former.metrics == components_analysis(adder(), accuracy=0.5).metrics
