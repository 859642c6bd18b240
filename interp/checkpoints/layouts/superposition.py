"""The toy model of superposition: ``W`` and ``b_final``, of one network or of a stack of instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from interp.checkpoints.formats.header import HEADER
from interp.checkpoints.layouts.activations import stated_activation
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights, option_value
from interp.errors import AmbiguousLayout, InterpError
from interp.hooked.toy_model.config import ToyModelConfig

BIASES = ("b_final", "bias", "b_dec", "b")
BESIDE = (
    "importance",
    "importances",
    "feature_probability",
    "feature_probabilities",
    "feature_prob",
    "sparsity",
)  # of the data
ORIENTATIONS = ("hidden_features", "features_hidden")


class SuperpositionLayout(Layout):
    """The models of Elhage et al. 2022 (https://transformer-circuits.pub/2022/toy_model/index.html), tied.

    The authors' notebook stacks instances, ``W [instance, feature, hidden]``; others store ``[hidden, feature]``.
    """

    name = "superposition"
    summary = "toy models of superposition: W [(instance,) hidden, feature] or transposed, b_final [(instance,) feature], tied"
    options: ClassVar[Mapping[str, str]] = {
        "orientation": "hidden_features (columns of W are features) or features_hidden, if W is square",
        "tied": "yes, where W and a bias may as well be a single linear layer",
        "instance": "which of a stack of instances (0)",
        "act_fn": "the outputs' activation, which the file does not state: relu, or identity for the linear model",
    }

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        bias = None if HEADER in info.metadata else _bias(weights)  # our own files say what they hold
        if "W" not in weights or bias is None or any(n not in ("W", bias, *BESIDE) for n in weights):
            named = "W" in weights and "b_final" in weights
            return Fit(False, 0.6 if named else 0.0, "it has W and b_final (or bias), and nothing else")
        if not _orientations(weights, bias):
            shapes = f"W {list(weights['W'].shape)}, {bias} {list(weights[bias].shape)}"
            return Fit(False, 0.7, f"neither axis of W is as long as the bias: {shapes}")
        question = "orientation must be given" if len(_orientations(weights, bias)) > 1 else ""
        return Fit(True, 0.9, certain=bias == "b_final", question=question or _other_reading(weights, bias))

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        bias = _bias(weights)
        assert bias is not None  # `matches` has looked
        if (other := _other_reading(weights, bias)) and option_value(self, options, "tied", ("yes",)) is None:
            raise AmbiguousLayout(f"superposition: {other}")
        notes = []
        W, b = weights["W"].load(), weights[bias].load()
        if W.ndim == 3:
            instance = self._instance(len(W), options)
            notes.append(
                f"the file stacks {len(W)} instances; this is number {instance} (--layout superposition:instance=N)"
            )
            W, b = W[instance], b[instance] if b.ndim == 2 else b
        elif "instance" in options:
            raise InterpError("layout superposition: the file holds one network, not a stack of instances")
        if self._orientation(weights, bias, options) == "features_hidden":
            W = W.T
        act_fn = stated_activation(info.config, options)
        if act_fn is None:
            notes.append(
                "read as ReLU(W^T W x + b), tied; the file does not state the ReLU (--layout superposition:act_fn=identity "
                "for the linear model)"
            )
        config = ToyModelConfig(W.shape[1], W.shape[0], act_fn or "relu")
        extra = tuple(n for n in weights if n not in ("W", bias))
        return Converted(config, {"W": W, "b_final": b}, extra, notes=tuple(notes))

    def _instance(self, n: int, options: Mapping[str, Any]) -> int:
        given = options.get("instance", 0)
        if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < n:
            raise InterpError(f"layout superposition: instance must be a number from 0 to {n - 1}, got {given!r}")
        return given

    def _orientation(self, weights: Weights, bias: str, options: Mapping[str, Any]) -> str:
        fitting = _orientations(weights, bias)
        given = option_value(self, options, "orientation", ORIENTATIONS)
        if given is None and len(fitting) > 1:
            raise AmbiguousLayout(
                "superposition: W is square, so its columns or its rows may be the features; choose with "
                "--layout superposition:orientation=hidden_features (columns) or features_hidden (rows)"
            )
        if given is not None and given not in fitting:
            raise AmbiguousLayout(f"superposition: the bias fits only orientation={fitting[0]}, not {given}")
        return given or fitting[0]


def _other_reading(weights: Weights, bias: str) -> str:
    """What else ``W`` and a bias may be. Only ``b_final`` is the paper's own name."""
    W, b = weights["W"].shape, weights[bias].shape
    bottleneck = b[-1] == max(W[-2:]) > min(W[-2:])
    if bias == "b_final" or (bottleneck and bias != "b"):
        return ""
    return (
        f"W {list(W)} and {bias} {list(b)} may be a toy model, tied, or a single linear layer; choose "
        "--layout superposition:tied=yes if it is tied"
    )


def _bias(weights: Weights) -> str | None:
    return next((name for name in BIASES if name in weights), None)


def _orientations(weights: Weights, bias: str) -> list[str]:
    """The orientations in which the features' axis is as long as the bias; none for tensors of other shapes."""
    W, b = weights["W"].shape, weights[bias].shape
    if len(W) not in (2, 3) or len(b) not in (1, len(W) - 1) or (len(b) == 2 and b[0] != W[0]):
        return []
    return [o for o, axis in zip(ORIENTATIONS, (-1, -2), strict=True) if W[axis] == b[-1]]


LAYOUT = SuperpositionLayout()
