"""A Keras file holds the model's config: the order of layers, their activations, and what else there is, are read from it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import interp
from interp.errors import UnknownLayout

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)
SHAPES = {"Dense": lambda i, o: {"kernel": (i, o), "bias": (o,)}, "Embedding": lambda i, o: {"embeddings": (i, o)}}
Layers = list[tuple[str, dict[str, Any]]]


def weights_of(layers: Layers) -> dict[str, dict[str, np.ndarray]]:
    """Random weights of the layers that have any, by the layer's name."""
    return {
        own["name"]: {n: RNG.normal(size=s).astype("float32") for n, s in SHAPES[cls](*own["shape"]).items()}
        for cls, own in layers
        if cls in SHAPES
    }


def config_of(layers: Layers) -> str:
    listed = [{"class_name": cls, "config": {k: v for k, v in own.items() if k != "shape"}} for cls, own in layers]
    return json.dumps({"class_name": "Sequential", "config": {"name": "sequential", "layers": listed}})


def as_h5(path: Path, layers: Layers) -> dict[str, dict[str, np.ndarray]]:
    """The form before Keras 3: names of layers and weights, and the config in an attribute."""
    weights = weights_of(layers)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config_of(layers)
        for layer, held in weights.items():
            for name, array in held.items():
                file[f"model_weights/{layer}/{layer}/{name}:0"] = array
    return weights


def as_keras(path: Path, layers: Layers) -> dict[str, dict[str, np.ndarray]]:
    """The form of Keras 3: classes and numbers, and the config beside them in an archive."""
    weights, data = weights_of(layers), io.BytesIO()
    seen: dict[str, int] = {}
    with h5py.File(data, "w") as file:
        for cls, own in layers:
            if cls in SHAPES:
                number = seen[cls] = seen.get(cls, -1) + 1
                for i, array in enumerate(weights[own["name"]].values()):
                    file[f"layers/{cls.lower()}{f'_{number}' if number else ''}/vars/{i}"] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config_of(layers))
        archive.writestr("model.weights.h5", data.getvalue())
    return weights


def dense(name: str, inputs: int, outputs: int, activation: str = "linear") -> tuple[str, dict[str, Any]]:
    return "Dense", {"name": name, "shape": (inputs, outputs), "activation": activation}


WRITERS = {".h5": as_h5, ".keras": as_keras}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("apart", [False, True])
def test_the_activation_of_the_config_is_used(suffix: str, apart: bool, tmp_path: Path) -> None:
    """Of the layer itself, or of a layer behind it; nothing is assumed then."""
    own, behind = ("linear", [("Activation", {"name": "activation", "activation": "tanh"})]) if apart else ("tanh", [])
    layers = [dense("hidden", 5, 8, own), *behind, ("Dropout", {"name": "dropout"}), dense("dense_7", 8, 3, "softmax")]
    w = WRITERS[suffix](tmp_path / f"net{suffix}", layers)
    subject = interp.load(tmp_path / f"net{suffix}", device="cpu")
    x = RNG.normal(size=(6, 5)).astype("float32")
    hidden = np.tanh(x @ w["hidden"]["kernel"] + w["hidden"]["bias"])
    expected = torch.from_numpy(hidden @ w["dense_7"]["kernel"] + w["dense_7"]["bias"])
    torch.testing.assert_close(subject.model(torch.from_numpy(x)), expected, rtol=0, atol=1e-5)
    assert not subject.warnings
    assert "the network ends in softmax" in " ".join(subject.provenance.notes)


@pytest.mark.parametrize("suffix", WRITERS)
def test_layers_stand_in_the_order_of_the_config(suffix: str, tmp_path: Path) -> None:
    """HDF5 sorts names, so an embedding came last, and where widths allowed it, it was read there."""
    embedding = ("Embedding", {"name": "embedding", "shape": (11, 6)})
    layers = [embedding, ("Flatten", {"name": "flatten"}), dense("dense", 12, 8, "relu"), dense("dense_1", 8, 11)]
    w = WRITERS[suffix](tmp_path / f"net{suffix}", layers)
    tokens = torch.randint(11, (5, 2))
    embedded = w["embedding"]["embeddings"][tokens.numpy()].reshape(5, -1)
    hidden = np.maximum(embedded @ w["dense"]["kernel"] + w["dense"]["bias"], 0)
    expected = torch.from_numpy(hidden @ w["dense_1"]["kernel"] + w["dense_1"]["bias"])
    model = interp.load(tmp_path / f"net{suffix}", device="cpu").model
    torch.testing.assert_close(model(tokens), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("middle", "why"),
    [
        ([("Add", {"name": "add"})], "more than layers in a row: Add"),
        ([dense("middle", 8, 8, "relu")], r"several activations \(tanh, relu\)"),
        ([("LeakyReLU", {"name": "leaky"})], "several|is not one of"),
    ],
)
def test_what_a_chain_has_not_is_refused(middle: Layers, why: str, tmp_path: Path) -> None:
    """The config says it, though the matrices chain."""
    as_keras(tmp_path / "net.keras", [dense("dense", 5, 8, "tanh"), *middle, dense("dense_1", 8, 3)])
    with pytest.raises(UnknownLayout, match=why):
        interp.load(tmp_path / "net.keras")


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"config": {"layers": 3}}', '{"config": {"layers": [3, {}]}}'])
def test_a_config_that_is_none_says_nothing(text: str, tmp_path: Path) -> None:
    """The weights are read as without it."""
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["model_config"] = text
        file["dense/kernel:0"] = RNG.normal(size=(5, 3))
        file["dense/bias:0"] = RNG.normal(size=3)
    assert interp.load(tmp_path / "net.h5", device="cpu").model.W_U.shape == (5, 3)
