"""Whole pickled modules, and objects of other libraries, say more of a network than its weights do."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn

import interp
from interp.errors import UnknownLayout

X = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """An activation that is registered behind the layers, as many do."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.act = nn.Linear(5, 8), nn.Linear(8, 3), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


MODULES = {
    "tanh": lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)),
    "GELU of tanh": lambda: nn.Sequential(nn.Linear(5, 8), nn.GELU("tanh"), nn.Dropout(), nn.Linear(8, 3)),
    "no activation": lambda: nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3)),
    "a class": Net,
}


def saved(module: nn.Module, path: Path) -> Path:
    torch.save(module.eval(), path)
    return path


@pytest.mark.parametrize("name", MODULES)
def test_the_activation_of_a_whole_module_is_read(name: str, tmp_path: Path) -> None:
    """It is in the file, so nothing is assumed and nothing is warned of."""
    torch.manual_seed(0)
    module = MODULES[name]()
    subject = interp.load(saved(module, tmp_path / "net.pt"), device="cpu")
    torch.testing.assert_close(subject.model(X), module(X), rtol=0, atol=1e-6)
    assert not subject.warnings


def test_what_stands_behind_the_last_layer_is_told(tmp_path: Path) -> None:
    """The outputs are what goes into it, which a note says."""
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid())
    subject = interp.load(saved(module, tmp_path / "net.pt"), device="cpu")
    torch.testing.assert_close(subject.model(X), module[:-1](X), rtol=0, atol=1e-6)
    assert "the module ends in sigmoid" in " ".join(subject.provenance.notes)


@pytest.mark.parametrize(
    ("between", "why"),
    [((nn.Tanh(), nn.ReLU()), r"several activations \(tanh, relu\)"), ((nn.LeakyReLU(),) * 2, "leakyrelu, is not one")],
)
def test_activations_that_ours_lacks_are_refused(between: tuple[nn.Module, ...], why: str, tmp_path: Path) -> None:
    """Named in the reason; the user's own word for it counts."""
    one, two = between
    path = saved(nn.Sequential(nn.Linear(5, 8), one, nn.Linear(8, 8), two, nn.Linear(8, 3)), tmp_path / "net.pt")
    with pytest.raises(UnknownLayout, match=why):
        interp.load(path)
    assert interp.load(path, layout="linear_chain:act_fn=tanh").model.config.act_fn == "tanh"  # type: ignore[attr-defined]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", norm_first=True, batch_first=True)
        self.embed, self.pos = nn.Embedding(6, 8), nn.Parameter(torch.randn(4, 8))
        self.blocks, self.head = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8)), nn.Linear(8, 6)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(tokens) + self.pos))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_heads_and_the_place_of_norms_are_read_from_a_whole_transformer(tmp_path: Path) -> None:
    """Neither is in its state dict; only the mask, which is given in the call, is assumed."""
    torch.manual_seed(0)
    module = Encoder().eval()
    subject = interp.load(saved(module, tmp_path / "net.pt"), device="cpu")
    tokens = torch.randint(6, (5, 4))
    torch.testing.assert_close(subject.model(tokens), module(tokens), rtol=0, atol=1e-5)
    assert "assumed: causal=false;" in " ".join(subject.provenance.notes)


@pytest.mark.parametrize("stated", [{"activation": "Tanh"}, {"model": {"non_linearity": "tanh"}}, {"act": "nn.Tanh()"}])
def test_an_activation_in_a_config_is_heard(stated: dict[str, object], tmp_path: Path) -> None:
    """Under the names that people give it, and one level down."""
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    torch.save({"model": net.state_dict(), "config": stated}, tmp_path / "net.pt")
    subject = interp.load(tmp_path / "net.pt", device="cpu")
    torch.testing.assert_close(subject.model(X), net(X), rtol=0, atol=1e-6)
    assert not subject.warnings


@pytest.mark.parametrize("act_fn", ["tanh", "logistic"])
def test_a_network_of_scikit_learn(act_fn: str, tmp_path: Path) -> None:
    """``coefs_`` and ``intercepts_`` of a pickled estimator, with the activation that it states; labels are as it predicts."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)).astype("float32"), rng.integers(3, size=60)
    net = MLPClassifier((8,), activation=act_fn, max_iter=300, tol=1.0, random_state=0).fit(x, y)
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(net))
    model = interp.load(tmp_path / "net.pkl", device="cpu", dtype="float64").model
    probabilities = model(torch.from_numpy(x).double()).softmax(-1)
    np.testing.assert_allclose(probabilities.numpy(force=True), net.predict_proba(x), atol=1e-5)
