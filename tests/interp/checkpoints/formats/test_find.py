"""Finding weights in a tree: where they lie, what stands beside them, which prefixes are wrappers."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import interp
from interp.checkpoints.formats import reading as formats
from interp.checkpoints.formats.find import Findings, find
from interp.errors import InterpError, UnreadableFile
from tests.interp.checkpoints.files import weights

Finder = Callable[..., Findings]


@pytest.fixture
def found(saved: Callable) -> Finder:
    """Save a tree and find the weights in it."""
    return lambda tree, key=None: find(formats.read(saved(tree)), key)


def network(width: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))


def same(found_weights: Mapping[str, Any], expected: Mapping[str, Tensor]) -> bool:
    return list(found_weights) == list(expected) and all(
        torch.equal(found_weights[n].load(), t) for n, t in expected.items()
    )


@pytest.mark.parametrize("where", ["model", "state_dict", "model_state_dict", "net", "params", "weights", "module"])
def test_weights_under_the_usual_names(where: str, found: Finder) -> None:
    """A state dict beside an optimizer, counters and curves."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    tree = {"optimizer": optimizer.state_dict(), where: model.state_dict(), "epoch": 4, "rng": torch.get_rng_state()}
    findings = found(tree)
    assert [(s.where, s.step, s.stripped) for s in findings.steps] == [(where, 4, ())]
    assert same(findings.steps[0].weights, model.state_dict())


def test_weights_at_the_top_and_deep_down(found: Finder) -> None:
    """A bare state dict lies at the path of no keys; a nested one at its path."""
    assert [(s.where, s.step) for s in found(weights()).steps] == [("", None)]
    assert found({"trainer": {"policy": {"model": weights()}}}).steps[0].where == "trainer/policy/model"


TRAINING = ["optimizer", "optimizer_state_dict", "optim", "lr_scheduler", "scaler", "rng_states", "callbacks", "grads"]


@pytest.mark.parametrize("name", TRAINING)
def test_what_belongs_to_the_training_is_never_taken(name: str, found: Finder) -> None:
    """Neither beside weights nor alone."""
    assert found({name: weights(1), "model": weights()}).steps[0].where == "model"
    with pytest.raises(UnreadableFile, match="no named tensors"):
        found({name: {"state": weights()}})


@pytest.mark.parametrize("name", ["generator", "gradient_net", "metric_head", "loop", "prng_mixer"])
def test_a_layer_whose_name_recalls_training_keeps_its_weights(name: str, found: Finder) -> None:
    """``generator`` is the last layer of many a model: to leave it out in silence is to load another network."""
    state = {"fc.weight": torch.ones(4, 3), f"{name}.weight": torch.ones(2, 4), f"{name}.bias": torch.ones(2)}
    assert same(found({"model": state}).steps[0].weights, state)


@pytest.mark.parametrize("beside", ["train_indices", "permutation", "train_accuracy", "class_weights"])
def test_a_tensor_beside_the_weights_does_not_hide_them(beside: str, found: Finder) -> None:
    """A split, a permutation or a curve at the top of the file is not a model."""
    findings = found({"model": weights(), beside: torch.arange(4.0)})
    assert [s.where for s in findings.steps] == ["model"]
    assert same(findings.steps[0].weights, weights())


def test_a_key_reaches_weights_beside_a_tensor(found: Finder) -> None:
    """Whatever is taken by default, ``key`` is the user's way out."""
    assert same(found({"net_a": weights(), "split": torch.arange(4)}, "net_a").steps[0].weights, weights())


def test_several_candidates_raise_and_key_chooses(found: Finder) -> None:
    """The message names the option and lists the candidates."""
    tree = {"encoder": weights(0), "decoder": weights(1)}
    with pytest.raises(InterpError, match=r"encoder \(4 tensors\), decoder \(4 tensors\).*--key NAME"):
        found(tree)
    assert same(found(tree, "decoder").steps[0].weights, weights(1))


def test_two_networks_are_not_two_steps(found: Finder) -> None:
    """``net1`` and ``net2`` are names; only numbers, or names of a step, are steps."""
    with pytest.raises(InterpError, match="--key"):
        found({"net1": weights(0), "net2": weights(1)})


def test_nested_modules_are_not_steps(found: Finder) -> None:
    """A model whose layers are dicts of their own is one model, or an error; it is never its last layer."""
    layers = {"layer1": {"weight": torch.ones(5, 3)}, "layer2": {"weight": torch.ones(2, 5)}}
    try:
        findings = found({"model": layers})
    except InterpError:
        return
    assert len(findings.steps) == 1
    assert len(findings.steps[0].weights) == 2


def test_weights_that_lie_at_two_places_are_found_at_both(found: Finder) -> None:
    """torch.save writes one dict that is named twice only once; each name still leads to it."""
    shared = weights(0)
    assert same(found({"model": shared, "ema": shared}, "ema").steps[0].weights, shared)


def test_the_preferred_name_wins_and_key_overrides(found: Finder) -> None:
    """An average beside the model is taken only when asked for."""
    tree = {"ema": weights(1), "model": weights(0)}
    assert same(found(tree).steps[0].weights, weights(0))
    assert same(found(tree, "ema").steps[0].weights, weights(1))


def test_a_key_that_is_not_there_suggests_the_nearest(found: Finder) -> None:
    """With the candidates there are."""
    with pytest.raises(InterpError, match=r"unknown key 'modle'; did you mean 'model'\?"):
        found({"ema": weights(), "model": weights()}, "modle")


STEPS: dict[str, Any] = {
    "a list and its epochs": {"state_dicts": [weights(0), weights(1)], "epochs": [100, 250]},
    "a list and its steps": {"weights_over_time": [weights(0), weights(1)], "steps": [100, 250], "config": {"p": 1}},
    "a dict by step": {"checkpoints": {100: weights(0), 250: weights(1)}},
    "a dict by step, unordered": {"checkpoints": {250: weights(1), 100: weights(0)}},
    "a dict by step under a model": {"model": {100: weights(0), 250: weights(1)}, "epoch": 250},
    "a dict by step, the last of them stated": {250: weights(1), 100: weights(0), "step": 250},
    "a dict by step as people write them": {"checkpoints": {"2.5e2": weights(1), "1e2": weights(0)}},
    "tuples": {"history": (weights(0), weights(1)), "steps": (100, 250)},
    "names with steps": {"snapshots": {"step_250": weights(1), "step_100": weights(0)}},
    "optimizers beside": {"models": [weights(0), weights(1)], "optimizers": [weights(5)] * 2, "epochs": [100, 250]},
}


@pytest.mark.parametrize("tree", STEPS.values(), ids=STEPS)
def test_bundles_of_many_steps(tree: Any, found: Finder) -> None:
    """Each step with its number and its own weights."""
    steps = {s.step: s.weights for s in found(tree).steps}
    assert sorted(step or 0 for step in steps) == [100, 250]
    assert same(steps[100], weights(0))
    assert same(steps[250], weights(1))


SETS: dict[str, tuple[Any, str]] = {
    "a list": ([weights(i) for i in range(12)], "11"),
    "a dict by number": ({250: weights(1), 100: weights(0)}, "250"),
    "attempts": ({"attempts": [weights(i) for i in range(3)], "losses": [0.3, 0.1, 0.2]}, "attempts/2"),
    "seeds": ({"models": {"seed_1": weights(0), "seed_2": weights(1)}}, "models/seed_2"),
    "models": ({"models": [weights(0), weights(1)], "accuracy": [1, 2]}, "models/1"),
}


@pytest.mark.parametrize(("tree", "one"), SETS.values(), ids=SETS)
def test_networks_in_a_row_are_no_time_line(tree: Any, one: str, found: Finder) -> None:
    """Nothing says that they are steps of one run: the user chooses one."""
    with pytest.raises(InterpError, match="choose one with --key "):
        found(tree)
    assert len(found(tree, one).steps) == 1


def test_the_user_may_say_that_a_row_is_a_time_line(found: Finder) -> None:
    """With a star for the key; twelve in a list keep their order, which is not that of the alphabet."""
    findings = found([weights(i) for i in range(12)], "*")
    assert [s.step for s in findings.steps] == list(range(12))
    assert all(same(s.weights, weights(i)) for i, s in enumerate(findings.steps))
    assert [s.step for s in found({"attempts": [weights(0), weights(1)]}, "attempts/*").steps] == [0, 1]


def test_the_name_of_the_file_may_say_that_a_row_is_a_time_line(saved: Callable) -> None:
    """As the name of a key may."""
    chain = [{"0.weight": torch.ones(2, 3) * i, "0.bias": torch.ones(2)} for i in range(3)]
    assert interp.load(saved(chain, "all_checkpoints.pt"), device="cpu").series.steps == [0, 1, 2]
    with pytest.raises(InterpError, match="--key 2"):
        interp.load(saved(chain, "three.pt"), device="cpu")


def test_the_final_model_beside_its_checkpoints_is_the_last_step(found: Finder) -> None:
    """As the grokking demo of TransformerLens writes it: as many steps as there are losses."""
    tree = {
        "model": weights(2),
        "checkpoints": [weights(0), weights(1)],
        "checkpoint_epochs": [4, 9],
        "train_losses": [0.0] * 12,
    }
    findings = found(tree)
    assert [s.step for s in findings.steps] == [4, 9, 12]
    assert same(findings.steps[2].weights, weights(2))
    assert "'model' is the last of the series, at step 12" in findings.notes[0]
    del tree["train_losses"]
    assert [s.step for s in found(tree).steps] == [4, 9]
    assert "left out of the series" in found(tree).notes[0]


def test_a_step_that_repeats_another_is_still_a_step(found: Finder) -> None:
    """A run that stood still, or a list that was filled with one dict: the steps keep their number and their order."""
    shared = weights(0)
    findings = found({"state_dicts": [shared, shared, weights(1)], "steps": [10, 20, 30]})
    assert [s.step for s in findings.steps] == [10, 20, 30]
    assert same(findings.steps[1].weights, shared)


def test_a_list_of_other_numbers_beside_a_bundle_gives_no_steps(found: Finder) -> None:
    """Keys that are steps go before a list whose name only sounds like steps."""
    findings = found({"checkpoints": {100: weights(0), 200: weights(1)}, "iterations_per_epoch": [10, 10]})
    assert [s.step for s in findings.steps] == [100, 200]


def test_a_bundle_of_whole_checkpoints_has_a_step_each(found: Finder) -> None:
    """Each item says its own step."""
    findings = found({"snapshots": [{"model": weights(i), "step": 10 * i} for i in (1, 2)]})
    assert [s.step for s in findings.steps] == [10, 20]


@pytest.mark.parametrize(
    ("top", "step"),
    [({"epoch": 3}, 3), ({"epoch": 3, "global_step": 70}, 70), ({"step": 5, "epoch": 1}, 5), ({"step": True}, None), ({}, None)],
)  # fmt: skip
def test_the_step_of_a_file(top: dict[str, Any], step: int | None, found: Finder) -> None:
    """Steps go before epochs; a boolean is not a step."""
    assert found({"model": weights(), **top}).steps[0].step == step


WRAPPERS: dict[str, tuple[Callable[[nn.Module], nn.Module], tuple[str, ...]]] = {
    "averaged": (AveragedModel, ("module.",)),
    "parallel": (nn.DataParallel, ("module.",)),
    "compiled": (torch.compile, ("_orig_mod.",)),
    "averaged parallel": (lambda m: AveragedModel(nn.DataParallel(m)), ("module.", "module.")),
    "compiled parallel": (lambda m: torch.compile(nn.DataParallel(m)), ("_orig_mod.", "module.")),
    "parallel compiled": (lambda m: nn.DataParallel(torch.compile(m)), ("_orig_mod.", "module.")),
}


@pytest.mark.parametrize(("wrap", "stripped"), WRAPPERS.values(), ids=WRAPPERS)
def test_torchs_own_wrappers_are_stripped(wrap: Callable, stripped: tuple[str, ...], found: Finder) -> None:
    """The names of the bare model come back, with its values."""
    model = network()
    findings = found({"model": wrap(model).state_dict()})
    assert findings.steps[0].stripped == stripped
    inner = {n: t for n, t in findings.steps[0].weights.items() if n != "n_averaged"}
    assert same(inner, model.state_dict())


def test_an_averaged_network_loads(saved: Callable) -> None:
    """The counter that AveragedModel keeps is not part of the network."""
    model = network()
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    x = torch.randn(4, 3)
    loaded = interp.load(saved(averaged.state_dict()), device="cpu").model
    torch.testing.assert_close(loaded(x), model(x))


PREFIXED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "lightning": ("model.", "", ("model.",)),
    "distributed lightning": ("module.model.", "", ("module.", "model.")),
    "compiled inside": ("model._orig_mod.", "", ("_orig_mod.", "model.")),
    "Lightning's Fabric": ("_forward_module.", "", ("_forward_module.",)),
    "a bridge of TransformerLens": ("_original_component.", "", ("_original_component.",)),
    "sharded": ("_fsdp_wrapped_module.", "", ("_fsdp_wrapped_module.",)),
    "sharded twice": ("_fsdp_wrapped_module.layers.", "_fsdp_wrapped_module.", ("_fsdp_wrapped_module.",)),
    "checkpointed inside": ("module.layers.", "_checkpoint_wrapped_module.", ("_checkpoint_wrapped_module.", "module.")),
}  # fmt: skip


@pytest.mark.parametrize(("before", "between", "stripped"), PREFIXED.values(), ids=PREFIXED)
def test_prefixes_of_other_wrappers(before: str, between: str, stripped: tuple[str, ...], found: Finder) -> None:
    """At the front and in the middle of every name."""
    inner = "layers." if "layers." in before else ""
    state = {before + name.replace(".", f".{between}"): tensor for name, tensor in weights().items()}
    findings = found({"state_dict": state})
    assert findings.steps[0].stripped == stripped
    assert same(findings.steps[0].weights, {inner + n: t for n, t in weights().items()})


def test_a_prefix_of_some_names_stays(found: Finder) -> None:
    """A module that is called ``model``, beside others, is a part and no wrapper."""
    state = {"model.weight": torch.ones(2, 2), "head.weight": torch.ones(2, 2)}
    assert list(found(state).steps[0].weights) == ["model.weight", "head.weight"]


@pytest.mark.parametrize("names", [("_orig_mod.a", "a"), ("module.a.w", "module._orig_mod.a.w")])
def test_names_that_would_collide_are_kept(names: tuple[str, str], found: Finder) -> None:
    """No tensor takes the place of another."""
    state = {names[0]: torch.zeros(2, 2), names[1]: torch.ones(2, 2)}
    findings = found(state)
    assert findings.steps[0].stripped == ()
    assert same(findings.steps[0].weights, state)


@pytest.mark.parametrize("wrap", [lambda m: m, nn.DataParallel, AveragedModel], ids=["bare", "parallel", "averaged"])
@pytest.mark.parametrize("key", [None, "model"])
def test_a_whole_pickled_module(key: str | None, wrap: Callable, found: Finder) -> None:
    """Its class is never imported; its parameters and buffers have the names of its state dict."""
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Sequential(nn.Linear(5, 2)))
    findings = found(wrap(model) if key is None else {key: wrap(model), "epoch": 1})
    inner = {n: t for n, t in findings.steps[0].weights.items() if n != "n_averaged"}
    assert set(inner) == set(model.state_dict())
    assert all(torch.equal(inner[n].load(), t) for n, t in model.state_dict().items())


class Strange(nn.Linear):
    """A module whose insides a file may twist."""


def cyclic() -> nn.Module:
    module = Strange(2, 2)
    module._modules["again"] = module
    return module


def listed() -> nn.Module:
    module = Strange(2, 2)
    object.__setattr__(module, "_parameters", [1])
    return module


@pytest.mark.parametrize("module", [cyclic, listed])
def test_a_module_of_no_sense_is_an_error_of_the_file(module: Callable[[], nn.Module], found: Finder) -> None:
    """One that holds itself, and one whose parameters are a list; what is found is found once."""
    try:
        assert len(found(module()).steps[0].weights) == 2
    except InterpError as error:
        assert "file.pt" in str(error)  # noqa: PT017  either answer will do


@dataclasses.dataclass
class Settings:
    p: int = 113


CONFIGS = {"config": {"p": 113}, "args": argparse.Namespace(p=113), "hyper_parameters": {"p": 113}, "cfg": Settings()}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_is_picked_up(name: str, found: Finder) -> None:
    """A dict, a namespace, a dataclass."""
    assert found({"model": weights(), name: CONFIGS[name]}).config == {"p": 113}


def test_curves_are_picked_up(found: Finder) -> None:
    """Lists of numbers under their names, and a single loss as a curve of one point."""
    tree = {"model": weights(), "train_losses": [3.0, 2, 1.5], "test_losses": [3.0, 2.5], "loss": torch.tensor(1.5),
            "names": ["a", "b"], "one": [1.0]}  # fmt: skip
    assert found(tree).curves == {"train_losses": [3.0, 2.0, 1.5], "test_losses": [3.0, 2.5], "loss": [1.5]}


def test_numbers_too_large_for_a_curve_do_no_harm(found: Finder) -> None:
    """Python's integers have no end; a list of them must not keep the weights from being read."""
    assert same(found({"model": weights(), "seeds": [10**400, 2]}).steps[0].weights, weights())


@pytest.mark.parametrize("tree", [[1, 2], 5, {"a": 1}, {"a": torch.tensor(1.0)}, {}, {"optimizer": weights()}])
def test_no_weights_at_all(tree: Any, found: Finder) -> None:
    """The message says what the file holds instead."""
    with pytest.raises(UnreadableFile, match=r"file\.pt.*holds no named tensors; it holds"):
        found(tree)


@pytest.mark.parametrize(
    ("tree", "what"),
    [
        (torch.ones(2, 3), r"a single tensor \[2, 3\] float32 without a name"),
        ({"W": torch.ones(2, 3, device="meta")}, "on the device 'meta'"),
        (torch.optim.Adam([torch.ones(2, requires_grad=True)]).state_dict(), "the state of an optimizer"),
    ],
)
def test_what_a_file_without_weights_is_is_said(tree: Any, what: str, found: Finder) -> None:
    """And what to do about it, in place of a guess at which of its numbers are weights."""
    with pytest.raises(UnreadableFile, match=what):
        found(tree)


def test_other_weights_of_the_network_are_told(found: Finder) -> None:
    """An average beside the model is not passed over in silence."""
    findings = found({"model": weights(), "ema": {f"shadow.{n}": t for n, t in weights().items()}, "x": torch.ones(3)})
    assert findings.steps[0].where == "model"
    assert findings.notes == ("'model' is read; the file has more weights of this form: ema (--key ema)",)


@pytest.mark.parametrize("key", ["model", "state_dict/model", "ema_model"])
def test_a_part_of_a_state_dict_is_chosen_by_what_its_names_begin_with(key: str, found: Finder) -> None:
    """A LightningModule holds a loss or an average beside its network."""
    tree = {
        "state_dict": {f"{p}.{n}": t for p in ("model", "ema_model") for n, t in weights().items()},
        "global_step": 3,
    }
    (step,) = found(tree, key).steps
    assert same(step.weights, weights())
    assert (step.where, step.step) == (f"state_dict/{key.removeprefix('state_dict/')}", 3)


def stepped() -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network after a step, so that its optimizer has averages of every weight."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return net, optimizer


def test_an_optimizer_is_known_by_its_form(found: Finder) -> None:
    """A tuple, or keys of one's own, do not say which is which; an optimizer's averages are not taken for networks."""
    net, optimizer = stepped()
    for tree in ((net.state_dict(), optimizer.state_dict()), {"w": net.state_dict(), "adam": optimizer.state_dict()}):
        (step,) = found(tree).steps
        assert same(step.weights, net.state_dict())


def test_classes_that_were_not_read_are_named_where_nothing_is_found(found: Finder) -> None:
    """A file that is one foreign object."""
    with pytest.raises(UnreadableFile, match=r"file\.pt.*argparse\.Namespace"):
        found({"all": argparse.Namespace(model=weights())})
