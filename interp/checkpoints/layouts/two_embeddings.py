"""MLPs with one embedding per operand: W_x, W_y, W, W_U (bilal-chughtai/rep-theory-mech-interp, 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights, option_value
from interp.errors import AmbiguousLayout
from interp.hooked.mlp.config import MLPConfig
from interp.tasks import Task, make_task

NAMES = ("W_x", "W_y", "W", "W_U")


class TwoEmbeddingsLayout(Layout):
    """The MLPs of Chughtai et al. 2023 (https://arxiv.org/abs/2302.03025), as their repository (bilal-chughtai) stores them."""

    name = "two_embeddings"
    summary = "MLPs with an embedding per operand: W_x, W_y [n, embed], W [2*embed or embed, hidden], W_U [hidden, n]"
    options: ClassVar[Mapping[str, str]] = {
        "orientation": "in_out (matrices as [in, out], as published) or out_in (all transposed), if both fit",
        "act_fn": "the hidden layer's activation (relu as published)",
    }

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        missing = [n for n in NAMES if n not in weights or weights[n].ndim != 2]
        if missing:
            return Fit(False, 1 - len(missing) / len(NAMES), f"it also needs the matrices {', '.join(missing)}")
        if not _readings(weights):
            shapes = ", ".join(f"{n} {list(weights[n].shape)}" for n in NAMES)
            return Fit(False, 0.9, f"the shapes do not chain in either orientation: {shapes}")
        return Fit(True, 1.0, question="orientation must be given" if len(_readings(weights)) > 1 else "")

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        readings = _readings(weights)
        orientation = option_value(self, options, "orientation", ("in_out", "out_in"))
        if orientation is None and len(readings) > 1:
            raise AmbiguousLayout(
                "two_embeddings: all matrices are square, so they fit as [in, out] and as [out, in]; "
                "choose with --layout two_embeddings:orientation=in_out (as published) or out_in"
            )
        orientation = orientation or readings[0]
        if orientation not in readings:
            raise AmbiguousLayout(
                f"two_embeddings: the shapes do not fit orientation={orientation}, only {readings[0]}"
            )
        tensors = {n: weights[n].load() if orientation == "in_out" else weights[n].load().T for n in NAMES}
        n_symbols, d_embed = tensors["W_x"].shape
        config = MLPConfig(
            hidden=(tensors["W"].shape[1],), d_out=tensors["W_U"].shape[1], d_vocab=n_symbols, d_embed=d_embed,
            embedding="per_operand", combine="concat" if tensors["W"].shape[0] == 2 * d_embed else "sum",
            act_fn=options.get("act_fn", "relu"), bias=False, unembed_bias=False,
        )  # fmt: skip
        stacked = tensors["W_x"].new_empty((2, n_symbols, d_embed))
        stacked[0], stacked[1] = tensors["W_x"], tensors["W_y"]
        converted = {"embed.W_E": stacked, "layers.0.W": tensors["W"], "unembed.W_U": tensors["W_U"]}
        return Converted(config, converted, tuple(n for n in weights if n not in NAMES))

    @override
    def task(self, config: Mapping[str, Any]) -> tuple[Task | None, str | None]:
        """Group composition from ``group``, ``group_parameter``, ``frac_train`` and ``seed``, split by torch's permutation.

        The repository's configs name the group but not the order of its elements, which is known only for cyclic groups.

        Args:
            config: the training config, from ``cfg.json``.

        Returns:
            The task; for other groups a note on what to give.
        """
        if "group" not in config or "group_parameter" not in config:
            return None, None
        options = f"train_fraction={config.get('frac_train', 0.3)},seed={config.get('seed', 0)},split=torch"
        if config["group"] == "CyclicGroup":
            return make_task(f"modular:p={config['group_parameter']},operation=add,{options}"), None
        return None, (
            f"the config names {config['group']}({config['group_parameter']}), but not the order of its elements: "
            f"give its table, --task group:table=TABLE.csv,{options}"
        )


def _readings(weights: Weights) -> list[str]:
    """The orientations in which the shapes chain."""
    found = []
    for orientation in ("in_out", "out_in"):
        x, y, w, u = (weights[n].shape if orientation == "in_out" else weights[n].shape[::-1] for n in NAMES)
        if x == y and w[0] in (x[1], 2 * x[1]) and u[0] == w[1]:
            found.append(orientation)
    return found


LAYOUT = TwoEmbeddingsLayout()
