"""Features: planted ones are reported as what they are; worth and ablations equal loops in plain PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import circuits
import interp
from circuits.two_networks.feature_lists import feature_list
from circuits.two_networks.receiver import Receiver
from circuits.two_networks.sides import sides
from interp import Subject
from interp.errors import InterpError, MissingCapability, UnknownName
from probes import fourier
from tests.circuits.cppns import dense
from tests.circuits.two_networks.planted import LAYER, P, network, rotated, with_units
from tests.models import subject as modular


def column(seed: int) -> Tensor:
    return 2 * torch.randn(10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def status(found: circuits.SharedFeatures, name: str) -> list[str]:
    own = found.features[found.features["network"] == name]
    return own.sort_values("index")["status"].tolist()


def test_replaced_units_are_in_one_alone() -> None:
    own = network()
    other = with_units(own, list(range(8)), "other", reads={2: column(3), 5: column(4)})
    found = circuits.shared_features(own, other, threshold=0.9, n_random=2)
    expected = ["both"] * 8
    expected[2] = expected[5] = "alone"
    assert status(found, "mlp 0") == status(found, "other") == expected
    both = found.features.query("status == 'both'")
    np.testing.assert_allclose(both["correlation"], 1, atol=1e-9)
    assert (both["match"] == both["feature"]).all()
    assert (found.features["null"] < 0.9).all()


def test_permuted_and_flipped_units_are_found() -> None:
    own = network()
    flipped = with_units(own, [3, 1, 0, 2, 7, 6, 5, 4], "flipped")
    weights = {
        k: -v if k in ("layers.0.W", "layers.0.b", "unembed.W_U") else v for k, v in flipped.model.state_dict().items()
    }
    found = circuits.shared_features(
        own, Subject("flipped", type(own.model).from_weights(own.model.config, weights), own.task)
    )
    first = found.features[found.features["network"] == "mlp 0"]
    assert first["match"].tolist() == [f"unit {i}" for i in (2, 1, 3, 0, 7, 6, 5, 4)]
    np.testing.assert_allclose(first["correlation"], -1, atol=1e-9)


def test_a_split_unit_is_duplicated() -> None:
    own = network()
    split = with_units(own, [*range(8), 0], "split", writes={0: 0.5, 8: 0.5})
    torch.testing.assert_close(split.logits(), own.logits())
    found = circuits.shared_features(own, split, threshold=0.9)
    assert status(found, "mlp 0") == ["both"] * 8
    assert status(found, "split") == ["duplicated", *["both"] * 7, "duplicated"]
    twice = found.features.query("network == 'split' and status == 'duplicated'")
    assert twice[["here", "there"]].to_numpy().tolist() == [[2, 1], [2, 1]]


def test_a_dead_end_is_spurious() -> None:
    own = network()
    idle = with_units(own, [*range(8), 0], "idle", reads={8: column(3)}, writes={8: 0.0})
    found = circuits.shared_features(own, idle, threshold=0.9)
    assert status(found, "idle") == [*["both"] * 8, "spurious"]
    assert found.features.query("network == 'idle'")["worth"].iloc[-1] == 0
    alone = found.ablations.query("network == 'idle' and ablated == 'only here'").iloc[0]
    assert alone["features"] == 1
    assert alone["loss"] == pytest.approx(alone["clean_loss"], abs=1e-12)
    assert (found.ablations.query("network == 'idle' and ablated == 'as many at random'")["lost_high"] > 0).all()


@pytest.mark.parametrize(("name", "site"), [("shared concat", LAYER), ("two layers", "blocks.0.mlp.hook_post")])
def test_worth_is_what_a_loop_of_ablations_loses(name: str, site: str) -> None:
    own = modular(name)
    features = circuits.shared_features(own, modular(name, 1), site).features
    features = features[features["network"] == "a"].set_index("index")  # without units that never vary
    task, clean = own.require_task(), own.logits()
    clean = clean - clean.mean(-1, keepdim=True)
    for unit in features.index[:3]:

        def ablated(activation: Tensor, hook: object, unit: int = int(unit)) -> Tensor:
            changed = activation.clone()
            place = changed[:, -1] if changed.ndim == 3 else changed
            place[:, unit] = place[:, unit].mean()
            return changed

        logits = task.read(own.model.run_with_hooks(task.inputs, fwd_hooks=[(site, ablated)]))
        logits = logits - logits.mean(-1, keepdim=True)
        lost = (logits - clean).square().sum() / (clean - clean.mean(0)).square().sum()
        assert features.loc[unit, "worth"] == pytest.approx(lost.item(), rel=1e-9)


def test_components_of_a_mixed_layer_are_found_though_units_are_not() -> None:
    plain, mixed = rotated()
    components = circuits.shared_features(plain, mixed, "2.hook_out", kind="components")
    assert set(components.features["status"]) == {"both"}
    np.testing.assert_allclose(components.features["explained"], 1, atol=1e-9)
    shares = components.features.groupby("network")["variance"].sum()
    assert (shares >= 0.99).all()


def test_frequencies_are_the_keys_of_the_logits() -> None:
    demo = interp.load(Path(interp.__file__).parent / "demo" / "run")
    found = circuits.shared_features(demo, demo, kind="frequencies", draws=2, n_random=1)
    cube = demo.logits().reshape(53, 53, 53)
    names = found.features.query("network == 'a'")["feature"].tolist()
    assert sorted(names) == sorted(f"frequency {k}" for k in fourier.logit_frequencies(cube))
    assert set(found.features["status"]) == {"both"}
    assert found.features["worth"].min() > 0.1
    assert found.figure().data[0].type == "bar"


def test_a_frequencys_part_is_the_projection_on_its_waves() -> None:
    own = network()
    side = next(iter(sides({"own": own}, None, None, 0)[0].values()))
    features = feature_list(Receiver.of(side, LAYER), "frequencies")
    a, b = own.require_task().inputs.T.double()
    angle = 2 * torch.pi * 2 / P
    waves = torch.stack([f(angle * t) for t in (a, b, a + b) for f in (torch.cos, torch.sin)], 1)
    fitted = waves @ torch.linalg.lstsq(waves, features.rows).solution
    torch.testing.assert_close(features.without([1])(slice(None)), features.rows + features.mean - fitted)
    share = fitted.square().sum() / features.rows.square().sum()
    torch.testing.assert_close(features.variance[1], share)


def test_parts_of_a_picture() -> None:
    one, other = (Subject(n, dense("2;sin:2,gaussian:2", seed)) for n, seed in (("one", 0), ("other", 1)))
    found = circuits.shared_features(one, other, kind="factors", n_inputs=64)
    shares = found.features.groupby("network")["variance"].sum()
    np.testing.assert_allclose(shares, 1)
    assert set(found.features["feature"]) <= {"even part", "odd part"}


def test_wrong_arguments() -> None:
    own = network()
    with pytest.raises(UnknownName, match="components"):
        circuits.shared_features(own, own, kind="component")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="threshold"):
        circuits.shared_features(own, own, threshold=2)
    plain, mixed = rotated()
    with pytest.raises(MissingCapability, match="factors"):
        circuits.shared_features(plain, mixed, "2.hook_out", kind="factors")
    with pytest.raises(MissingCapability, match="all 121 examples"):
        circuits.shared_features(own, own, kind="frequencies", n_inputs=50)
