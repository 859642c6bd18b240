"""NEAT networks as hooked models: configs, hook points, other routes through the same network."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch.func import functional_call, vmap

import interp
from interp.errors import InterpError, UnknownSite
from interp.hooked import HookedNEAT, NEATConfig, config_from_dict
from tests.interp.neat.pickles import random_rows
from tests.interp.neat.test_genome import graph

PLAIN: dict[str, Any] = {
    "inputs": ("-1", "-2"),
    "outputs": ("0",),
    "layers": ((("1", "gauss", "sum"),), (("0", "sigmoid", "sum"),)),
    "links": (("-1", "1"), ("1", "0")),
}


def test_a_config_is_read_back_from_json() -> None:
    config = NEATConfig(**PLAIN)
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.widths == [(2, 1), (3, 1)]
    assert config.sources == {"1": [0], "0": [2]}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no output": ({"outputs": ()}, "has outputs"),
    "an output that is an input": ({"outputs": ("-1",)}, "output -1 is not a node"),
    "an output that is nothing": ({"outputs": ("5",)}, "output 5 is not a node"),
    "an empty layer": ({"layers": ((), (("0", "sigmoid", "sum"),)), "links": ()}, "layers of nodes"),
    "two of one name": ({"inputs": ("-1", "-1")}, "alike"),
    "an unknown activation": ({"layers": ((("0", "sine", "sum"),),), "links": ()}, "node 0: unknown activation 'sine'"),
    "an unknown aggregation": ({"layers": ((("0", "sin", "total"),),), "links": ()}, "unknown aggregation 'total'"),
    "a link that runs back": ({"links": (("0", "1"),)}, "0 to 1 leads to no later node"),
    "a link within a layer": ({"links": (("1", "1"),)}, "1 to 1 leads to no later node"),
    "a link into an input": ({"links": (("1", "-1"),)}, "leads to no later node"),
    "a link twice": ({"links": (("-1", "1"), ("-1", "1"))}, "two links"),
    "numbers for names": ({"inputs": (-1, -2)}, "by texts"),
    "a text for a list": ({"links": "-1"}, "are tuples"),
    "a node of two": ({"layers": ((("0", "sin"),),)}, "by texts"),
    "two layers of a recurrent one": ({"recurrent": True}, "one if it is recurrent"),
    "too wide": ({"layers": (tuple((str(i), "sin", "sum") for i in range(9000)),), "inputs": ("a",) * 0, "links": (),
                  "recurrent": True}, "too many weights"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_configs_that_are_none(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(InterpError, match=message):
        NEATConfig(**{**PLAIN, **changed})


@pytest.mark.parametrize("recurrent", [False, True])
def test_hook_points_and_resume(recurrent: bool) -> None:
    """Every activation passes through a hook point; the rest of the model from where it can resume."""
    rows = random_rows(3, recurrent)
    model = graph(rows).layered()
    assert model.config.recurrent == recurrent
    shape = (5, 3, rows.n_inputs) if recurrent else (5, rows.n_inputs)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out, cache = model.run_with_cache(inputs)
    layers = [f"layers.{i}.hook_{where}" for i in range(len(model.layers)) for where in ("pre", "post")]
    assert list(cache) == ["hook_input", *layers, "hook_logits"]
    for site in ("hook_input", "hook_logits"):
        torch.testing.assert_close(model.resume(site, cache[site]), out, rtol=0, atol=0)
        assert model.writes(site) == (site, None)
    for refused in (model.writes, lambda site: model.resume(site, cache[site])):
        with pytest.raises(UnknownSite, match="hook_input"):
            refused("layers.0.hook_post")
    assert model.component_sites("neurons") == [site for site in layers if site.endswith("post")]


def test_ablating_a_node_moves_what_follows() -> None:
    """Worked by hand: 0 = identity(2 * node 1), and node 1 is set to 3."""
    config = NEATConfig(
        inputs=("-1",),
        outputs=("0",),
        layers=((("1", "identity", "sum"),), (("0", "identity", "sum"),)),
        links=(("-1", "1"), ("1", "0")),
    )
    model = interp.hooked.build(config).init_weights(0)
    assert isinstance(model, HookedNEAT)
    assert [layer.response.w.item() for layer in model.layers] == [1.0, 1.0]
    with torch.no_grad():
        model.layers[1].W.copy_(torch.tensor([[0.0], [2.0]]))
    with model.hooks([("layers.0.hook_post", lambda x, hook: torch.full_like(x, 3.0))]):
        assert model(torch.ones(1, 1)).item() == 6.0


@pytest.mark.parametrize("recurrent", [False, True])
def test_vmap_over_members(recurrent: bool) -> None:
    """Stacked parameters through vmap give what each member gives alone."""
    rows = random_rows(8, recurrent)
    model = graph(rows).layered()
    stacked = {n: torch.stack([p.detach() * s for s in (1.0, 0.5)]) for n, p in model.named_parameters()}
    inputs = torch.ones((4, 2, rows.n_inputs) if recurrent else (4, rows.n_inputs), dtype=torch.float64)
    out = vmap(lambda p: functional_call(model, p, (inputs,)))(stacked)
    for i in range(2):
        alone = functional_call(model, {n: p[i] for n, p in stacked.items()}, (inputs,))
        torch.testing.assert_close(out[i], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inputs", [torch.zeros(3), torch.zeros(2, 7), torch.zeros(2, 2).long(), [[1.0, 2.0]]])
def test_bad_inputs(inputs: Any) -> None:
    with pytest.raises(InterpError, match="inputs must be"):
        interp.hooked.build(NEATConfig(**PLAIN))(inputs)
    recurrent = NEATConfig(
        **{**PLAIN, "layers": (tuple(n for layer in PLAIN["layers"] for n in layer),), "recurrent": True}
    )
    with pytest.raises(InterpError, match="inputs must be|batch, time"):
        interp.hooked.build(recurrent)(inputs)
