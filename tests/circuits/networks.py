"""The six kinds of network that interventions are tested on: small, random, seeded, in float64, each with a task."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

import interp
from interp import CPPNConfig, Examples, HookedCPPN, Subject
from interp.hooked.base import HookedModel
from tests.models import P, make
from tests.models import subject as modular


class Residual(nn.Module):
    """A skip connection added in place, and an activation in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        out += x
        return self.relu(out)


@dataclass(frozen=True)
class Kind:
    """A network of the table.

    Attributes:
        build: the subject, with a task.
        places: hook points of different kinds.
    """

    build: Callable[[], Subject]
    places: tuple[str, ...]


def conv() -> Subject:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), Residual(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 5), nn.Tanh(),
        nn.Linear(5, 3),
    )  # fmt: skip
    images = torch.randn(8, 2, 6, 6, generator=_seeded(1), dtype=torch.float64)
    model = interp.wrap(net.double().eval(), images)
    return _with_answers("conv", model, images)


def cppn() -> Subject:
    model = HookedCPPN(CPPNConfig("2;cache:1,gaussian:2,sin:2")).double().init_weights(0, 1.5)
    points = torch.randn(9, model.config.d_in, generator=_seeded(2), dtype=torch.float64)
    return _with_answers("cppn", model, points)


def lstm() -> Subject:
    return _with_answers("lstm", make("lstm"), torch.randint(0, P, (9, 4), generator=_seeded(3)))


def bridge() -> Subject:
    torch.manual_seed(0)
    config = TransformerBridgeConfig(
        n_layers=2, d_model=8, n_heads=2, d_head=4, d_vocab=7, n_ctx=4, d_mlp=10, act_fn="relu", normalization_type="LN",
        architecture="TransformerLensNative",
    )  # fmt: skip
    net = TransformerBridge.boot_native(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape) + (1.0 if parameter.ndim == 1 else 0.0))
    model = interp.wrap(net.to(torch.float64))
    return _with_answers("bridge", model, torch.randint(0, 7, (6, 4), generator=_seeded(4)), readout=-1)


def _with_answers(name: str, model: HookedModel, inputs: Tensor, readout: int | None = None) -> Subject:
    """A task whose answers the network half knows: its own, but for every third example."""
    with torch.no_grad():
        out = model(inputs)
    logits = out if readout is None else out[:, readout]
    labels = logits.argmax(-1)
    labels[::3] = (labels[::3] + 1) % logits.shape[-1]
    train = range(len(inputs) * 2 // 3)
    return Subject(
        name, model, Examples(inputs, labels, train=list(train), readout=readout, n_answers=logits.shape[-1])
    )


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


KINDS: dict[str, Kind] = {
    "transformer": Kind(
        lambda: modular("two layers"),
        ("blocks.0.mlp.hook_post", "blocks.1.attn.hook_z", "blocks.0.hook_resid_mid", "blocks.1.hook_mlp_out"),
    ),
    "mlp": Kind(lambda: modular("deep"), ("layers.0.hook_post", "layers.1.hook_pre", "layers.2.hook_post")),
    "cppn": Kind(cppn, ("layers.0.hook_post", "layers.1.hook_pre", "hook_logits")),
    "lstm": Kind(lstm, ("hook_embed", "layers.0.hook_h.1", "layers.1.hook_c.2", "hook_final")),
    "conv": Kind(conv, ("0.hook_out", "2.conv.hook_out", "3.hook_in", "4.hook_out", "6.hook_out")),
    "bridge": Kind(
        bridge, ("blocks.0.mlp.hook_post", "blocks.1.attn.hook_z", "blocks.0.hook_resid_mid", "blocks.1.ln2.hook_normalized")
    ),
}  # fmt: skip


@functools.cache
def subject(kind: str) -> Subject:
    """The same network each time: a test that changes it is a test that fails."""
    return KINDS[kind].build()


def pair(one: Subject, n: int = 5) -> tuple[Tensor, Tensor]:
    """Clean and corrupted inputs: examples, and each one's neighbour."""
    inputs = one.require_task().inputs
    return inputs[:n], inputs[1 : n + 1]


def score(outputs: Tensor) -> Tensor:
    """A value per input that depends on every output."""
    flat = outputs.double().flatten(1)
    return flat[:, 0] + flat.square().mean(1)


def assert_untouched(one: Subject, weights: dict[str, Tensor]) -> None:
    """No hooks (those of a bridge itself are its own), and the weights that it had, bit for bit."""
    assert one.model.watched_sites() == []
    now = dict(one.model.named_parameters())
    assert weights
    assert now.keys() == weights.keys()
    assert all(torch.equal(now[n], weights[n]) for n in weights)


def weights_of(one: Subject) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in one.model.named_parameters()}
