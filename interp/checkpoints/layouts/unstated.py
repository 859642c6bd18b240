"""What a transformer's weights do not state: heads, order of norms, activation. From options, a config, or assumed and noted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from interp.checkpoints.layouts.activations import stated_activation, with_entries_below
from interp.checkpoints.layouts.architectures import Architecture
from interp.checkpoints.layouts.base import Layout
from interp.errors import AmbiguousLayout, InterpError

HEADS = (
    "n_heads",
    "num_heads",
    "nhead",
    "n_head",
    "nheads",
    "heads",
    "num_attention_heads",
    "n_attn_heads",
    "attention_heads",
)
CONTEXT = (
    "n_ctx", "block_size", "n_positions", "max_position_embeddings", "context_length", "context_size", "seq_len", "max_seq_len",
    "seq_length", "sequence_length", "max_length", "max_len",
)  # fmt: skip
EPS = ("eps", "ln_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "rms_norm_eps")
NORM_FIRST = ("norm_first", "pre_norm", "prenorm", "pre_ln", "normalize_before")
NORM_LAST = ("post_norm", "postnorm", "post_ln")
NORM_PLACE = ("norm_position", "norm_style", "norm_placement", "layer_norm_position", "norm_type", "norm")
KIND = ("normalization", "normalization_type", "norm_type")
ROTARY = ("rope_theta", "rope_scaling", "rotary", "rotary_dim", "rotary_pct", "use_rope", "rope")
OPTIONS: Mapping[str, str] = {
    "n_heads": "number of heads, which fused or whole matrices do not show",
    "norm": "first (before attention and MLP) or last (after they have been added)",
    "act_fn": "the MLP's activation",
    "causal": "whether a position attends only to itself and earlier ones",
    "eps": "added to a norm's variance",
    "normalization": "LN or RMS, where norms have no bias",
    "positions": "none or sinusoidal, where the file has no table of positions",
    "n_ctx": "the longest input, where the file has no table of positions",
    "orientation": "out_in (as in nn.Linear) or in_out, for square matrices that belong to no module",
    "qkv": "parts (all queries, all keys, all values) or heads (each head's together), for a fused matrix",
    "gate": "first or second: the half of a fused MLP matrix that is the gate",
    "embed_scale": "factor on the token embeddings, or sqrt for the square root of d_model",
    "attn_scale": "attention scores are divided by it (the square root of d_head)",
}


class Unstated:
    """Answers to what weights leave open, and a record of what was assumed.

    Args:
        layout: whose options they are.
        config: found in the file or beside it; entries one level down count too.
        options: given by the user.
        architecture: the published one that it is, if it is known.
    """

    def __init__(
        self, layout: Layout, config: Mapping[str, Any], options: Mapping[str, Any],
        architecture: Architecture | None = None,
    ):  # fmt: skip
        self.layout, self.options, self.architecture = layout, dict(options), architecture
        self.implied = {} if architecture is None else architecture.implies(config)
        self.config = {**with_entries_below(config), **self.implied}
        self.assumed: dict[str, Any] = {}

    def spec(self, **more: Any) -> str:
        """The option ``--layout`` with what the user gave and ``more``."""
        given = {**self.options, **more}
        return f"--layout {self.layout.name}:" + ",".join(f"{k}={_typed(v)}" for k, v in given.items())

    def ask(self, problem: str, **answers: Any) -> AmbiguousLayout:
        """A question, with one way to answer it written out."""
        return AmbiguousLayout(f"{self.layout.name}: {problem}; choose with {self.spec(**answers)}")

    def stated(self, keys: Sequence[str], kind: type | tuple[type, ...]) -> Any:
        """The config's value under the first of the keys that holds one of the kind."""
        values = (self.config[k] for k in keys if k in self.config)
        return next((v for v in values if isinstance(v, kind) and (kind is bool or not isinstance(v, bool))), None)

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """An option that must be one of a few words; None if it was not given."""
        value = self.options.get(name)
        if value is None and name in self.options:
            value = "none"  # as a spec is parsed
        if value is not None and value not in allowed:
            raise InterpError(f"layout {self.layout.name}: {name} must be one of {', '.join(allowed)}, got {value!r}")
        return value

    def assume(self, name: str, value: Any) -> Any:
        """A value that nothing states; it is noted."""
        self.assumed[name] = value
        return value

    def number(self, name: str, whole: bool = False) -> Any:
        """A positive number among the options; None if it was not given."""
        value = self.options.get(name)
        kinds = int if whole else (int, float)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool) or not 0 < value < math.inf):
            raise InterpError(
                f"layout {self.layout.name}: {name} must be a positive {'whole ' if whole else ''}number, got {value!r}"
            )
        return value

    def flag(self, name: str) -> bool | None:
        """A truth value among the options; None if it was not given."""
        value = self.options.get(name)
        if value is not None and not isinstance(value, bool):
            raise InterpError(f"layout {self.layout.name}: {name} must be true or false, got {value!r}")
        return value

    def heads(self, inner: int, shown: int | None) -> int:
        """The number of heads of attention that is ``inner`` wide.

        Args:
            inner: width of all heads together.
            shown: what the tensors show; None if they don't.

        Returns:
            The number.

        Raises:
            AmbiguousLayout: nothing states it.
            InterpError: a number that does not divide the width, or not the one that the tensors show.
        """
        given = self.number("n_heads", whole=True)
        value = given or shown or self.stated(HEADS, int)
        if value is None:
            fitting = [n for n in range(1, inner + 1) if inner % n == 0]
            listed = ", ".join(map(str, fitting[:12])) + (", ..." if fitting[12:] else "")
            raise self.ask(
                f"the weights do not say how many heads attention has (a divisor of {inner}: {listed})",
                n_heads=max((n for n in fitting if n <= 4), default=1),
            )
        if value < 1 or inner % value or (shown is not None and value != shown):
            wanted = f"the tensors show {shown}" if shown is not None else f"it must divide the width {inner}"
            raise InterpError(
                f"layout {self.layout.name}: n_heads={value} does not fit: {wanted}; give it with {self.spec(n_heads=shown or 1)}"
            )
        return value

    def activation(self, default: str) -> str:
        """The MLP's activation function by our name."""
        stated = stated_activation(self.config, self.options)
        return self.assume("act_fn", default) if stated is None else stated

    def causal(self, default: bool) -> bool:
        """Whether attention is causal."""
        given = self.flag("causal")
        if given is None:
            given = self.stated(("causal", "is_causal"), bool)
        direction = self.stated(("attention_dir",), str)
        if given is None and direction is not None:
            given = direction == "causal"
        return self.assume("causal", default) if given is None else given

    def norm_first(self, default: bool) -> bool:
        """Whether the norms come before attention and MLP."""
        given = self.choice("norm", ("first", "last"))
        if given is not None:
            return given == "first"
        word = str(self.stated(NORM_PLACE, str) or "").lower()
        if word.startswith(("pre", "first", "post", "last")):
            return word.startswith(("pre", "first"))
        first, last = self.stated(NORM_FIRST, bool), self.stated(NORM_LAST, bool)
        if first is None and last is None:
            self.assume("norm", "first" if default else "last")
            return default
        return first if first is not None else not last

    def eps(self, default: float) -> float:
        """What is added to a norm's variance."""
        given = self.number("eps") or self.stated(EPS, (int, float))
        return self.assume("eps", default) if given is None else float(given)

    def note(self) -> tuple[str, ...]:
        """A note on what a published architecture implies, and one on everything that was assumed."""
        if self.implied:
            assert self.architecture is not None
            named = self.architecture.model_type in self.config.values()
            told = ", ".join(f"{k}={_typed(v)}" for k, v in self.implied.items())
            said = (f"read as {self.architecture.title} by its {'config' if named else 'names'}: {told}",)
        else:
            said = ()
        if not self.assumed:
            return said
        listed = ", ".join(f"{k}={_typed(v)}" for k, v in self.assumed.items())
        return (
            *said,
            f"not stated by the weights and assumed: {listed}; if your code differs, change it in "
            f"{self.spec(**self.assumed)} (logits are computed at every position, without pooling)",
        )


def _typed(value: Any) -> str:
    """A value as a spec holds it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
