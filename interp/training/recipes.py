"""Recipes: for every task the network and the training of its source; a user's own settings replace parts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from interp._util.specs import parse_spec
from interp.errors import InterpError, TaskMismatch, UnknownName, unknown
from interp.hooked import MODELS, Config, model_class
from interp.tasks import Task
from interp.training.members import read_widths


@dataclass(frozen=True)
class Recipe:
    """Where a run on a task starts from.

    Attributes:
        source: where the settings come from, in a few words.
        model: kind and fields; what the task determines (vocabulary, inputs, outputs) is added.
        optimizer: fields of `Optimizer`.
        plan: fields of `Plan`.
        epochs: the number of steps, in passes over the train set, where it is not in ``plan``.
    """

    source: str
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    plan: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None


_TOY = {"kind": "mlp", "combine": "sum", "d_embed": 1, "hidden": (200, 200), "act_fn": "tanh"}
RECIPES: dict[tuple[str, str], Recipe] = {
    ("modular", "transformer"): Recipe(
        "Nanda et al. 2023: one layer, four heads, full batch",
        {"kind": "transformer", "n_layers": 1, "d_model": 128, "n_heads": 4, "d_head": 32, "d_mlp": 512},
        {"name": "adamw", "lr": 1e-3, "weight_decay": 1.0, "betas": (0.9, 0.98)},
        {"steps": 20_000, "warmup": 10},
    ),
    ("modular", "mlp"): Recipe(
        "the grokking discussion: a small shared embedding, GELU, L2",
        {"kind": "mlp", "d_embed": 12, "hidden": (48,), "act_fn": "gelu"},
        {"name": "adam", "lr": 5e-3, "weight_decay": 2e-4},
        {"steps": 1_500, "batch_size": 128, "init": "torch", "metrics": "every:25"},
    ),
    ("modular", "rnn"): Recipe(
        "one layer of 128 tanh units that reads the operands one after the other, full batch",
        {"kind": "rnn", "d_embed": 32, "d_hidden": 128},
        {"name": "adamw", "lr": 1e-3, "weight_decay": 1.0, "betas": (0.9, 0.98)},
        {"steps": 5_000, "init": "torch"},
    ),
    ("addition", "mlp"): Recipe(
        "Liu et al. 2022: one-dimensional embeddings, summed, and a tanh decoder",
        _TOY,
        {"name": "adamw", "lr": 1e-3, "weight_decay": 0.0, "embedding_weight_decay": 0.0},
        {"steps": 10_000, "init": "torch", "embedding_scale": 0.29, "metrics": "every:20"},  # U[-1/2, 1/2] there
    ),
    ("group", "mlp"): Recipe(
        "Liu et al. 2022: 3x3 matrix embeddings, multiplied in order, and a tanh decoder",
        {**_TOY, "combine": "product", "d_embed": 9},
        {"name": "adamw", "lr": 1e-3, "weight_decay": 0.0, "embedding_weight_decay": 0.0},
        {"steps": 10_000, "init": "torch", "metrics": "every:20"},
    ),
    ("grid", "mlp"): Recipe(
        "an embedding of 16 per point and one hidden layer",
        {"kind": "mlp", "d_embed": 16, "hidden": (128,)},
        {"name": "adamw", "lr": 1e-3, "weight_decay": 1.0},
        {"steps": 10_000},
    ),
    ("parity", "mlp"): Recipe(
        "Fuangkawinsombut 2024: 500 ReLU units, hinge, SGD in batches of 32",
        {"kind": "mlp", "hidden": (500,), "unembed_bias": False},
        {"name": "sgd", "lr": 0.1, "weight_decay": 0.01},
        {"batch_size": 32, "init": "torch", "metrics": "epoch"},
        epochs=500,
    ),
    ("image", "cppn"): Recipe(
        "Kumar et al. 2025: the skull's architecture, whole image, gradient divided by its norm",
        {"kind": "cppn", "arch": "12;cache:15,gaussian:4,identity:2,sin:1"},
        {"name": "adamw", "lr": 3e-3, "weight_decay": 0.0},
        {"steps": 100_000, "normalise": True, "init": "truncated", "metrics": "every:100"},
    ),
    ("image", "mlp"): Recipe(
        "full batch, gradient divided by its norm (Kumar et al. 2025), on a tanh MLP",
        {"kind": "mlp", "hidden": (22,) * 12, "act_fn": "tanh"},
        {"name": "adam", "lr": 3e-3},
        {"steps": 2_000, "normalise": True, "init": "torch", "metrics": "every:50"},
    ),
    ("digits", "mlp"): Recipe(
        "Liu et al. 2023 (Omnigrok): 200-200 ReLU, every initial parameter times 8, MSE to one-hot",
        {"kind": "mlp", "hidden": (200, 200)},
        {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
        {"steps": 100_000, "batch_size": 200, "init": "torch", "init_scale": 8.0, "metrics": "every:500"},
    ),
    ("reviews", "lstm"): Recipe(
        "Liu et al. 2023 (Omnigrok): two layers of 256, initial parameters times 6, gradient clipped at 5",
        {"kind": "lstm", "d_embed": 64, "d_hidden": 256, "n_layers": 2},
        {"name": "adamw", "lr": 3e-4, "weight_decay": 1.0},
        {"batch_size": 50, "clip_norm": 5.0, "init": "torch", "init_scale": 6.0, "metrics": "epoch"},
        epochs=100,
    ),
    ("reviews", "rnn"): Recipe(
        "as the LSTM of Liu et al. 2023 (Omnigrok), at torch's initial weights: two layers of 256, gradient clipped at 5",
        {"kind": "rnn", "cell": "gru", "d_embed": 64, "d_hidden": 256, "n_layers": 2},
        {"name": "adamw", "lr": 3e-4, "weight_decay": 1.0},
        {"batch_size": 50, "clip_norm": 5.0, "init": "torch", "metrics": "epoch"},
        epochs=100,
    ),
}  # fmt: skip
GENERAL = Recipe(  # of a task without any
    "a general recipe, since the task has none: one hidden layer of 64 ReLU units, full batch",
    {"kind": "mlp", "d_embed": 16, "hidden": (64,)},
    {"name": "adamw", "lr": 1e-3, "weight_decay": 0.0},
    {"steps": 2_000, "init": "torch"},
)


def recipe_kinds(task: Task | type[Task]) -> list[str]:
    """The kinds of model that have a recipe for the task, the usual one first."""
    return [*task.recipes, *(kind for name, kind in RECIPES if name == task.name and kind not in task.recipes)]


def recipe_for(task: Task | type[Task], kind: str | None = None) -> Recipe:
    """The recipe of a task, for its usual kind of network or another.

    Recipes that the task's class brings (`Task.recipes`) come first. A pair without a recipe of its own takes modular
    arithmetic's for that kind; a task without any recipe, the general one.

    Args:
        task: or its class.
        kind: of network; by default the task's usual one.

    Returns:
        where a run starts from.

    Raises:
        UnknownName: a kind that does not exist.
        InterpError: a kind without any recipe.
    """
    own = [_brought(task, k) for k in task.recipes if kind in (None, k)]
    own += [r for (name, k), r in RECIPES.items() if name == task.name and kind in (None, k)]
    if own:
        return own[0]
    kind = kind or _fitting_kind(task)
    if kind == "mlp" and not recipe_kinds(task):
        return GENERAL
    if kind not in MODELS:
        raise UnknownName(unknown("kind of model", kind, MODELS))
    borrowed = [r for (name, k), r in RECIPES.items() if k == kind]
    if not borrowed:
        raise InterpError(f"there is no recipe for a {kind} on the task {task.name}; give its config as a whole")
    return borrowed[0]


def _brought(task: Task | type[Task], kind: str) -> Recipe:
    """A recipe of the task's class."""
    parts = task.recipes[kind]
    return Recipe(
        parts.get("source", f"the recipe of the task {task.name}"),
        {"kind": kind, **parts.get("model", {})},
        {"name": "adamw", **parts.get("optimizer", {})},
        parts.get("plan", {}),
        parts.get("epochs"),
    )


def _fitting_kind(task: Task | type[Task]) -> str:
    """The first kind of network that takes the inputs of a task without a recipe."""
    if isinstance(task, type):  # nothing is known of its inputs
        return "mlp"
    for kind in ("mlp", "transformer", "lstm", "rnn"):
        try:
            task.shape(kind)
        except TaskMismatch:
            continue
        return kind
    return "mlp"


def make_model(task: Task, model: str | Config | None) -> Config:
    """A network for a task.

    Args:
        task: what is trained on; it determines the numbers of inputs and outputs.
        model: a config, taken as it is; or a spec such as ``"mlp:hidden=200x200,d_embed=12"``, whose fields replace those
            of the recipe; None is the recipe's.

    Returns:
        its config.

    Raises:
        UnknownName: a kind or a field that does not exist.
        InterpError: fields that do not fit, or something that is neither a config nor a spec.
    """
    if isinstance(model, Config):
        return model
    if model is not None and not isinstance(model, str):
        kept = "; training draws new weights: give its config, model.config" if hasattr(model, "config") else ""
        what = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise InterpError(f"a network is given by a config or by a spec such as 'mlp:hidden=48', got {what}{kept}")
    kind, given = parse_spec(model) if model else (None, {})
    base = dict(recipe_for(task, kind).model)
    kind = base.pop("kind")
    cls = model_class(kind).config_class
    known = [f.name for f in fields(cls)]
    for name in given:
        if name not in known:
            raise UnknownName(unknown(f"field of a {kind}", name, known))
    if "hidden" in given:
        given["hidden"] = read_widths(given["hidden"])
    shape = task.shape(kind)
    if "d_in" in shape:
        base.pop("d_embed", None)  # of a recipe for tokens
    try:
        return cls(**{**base, **shape, **given})
    except TypeError as error:
        raise InterpError(f"cannot make a {kind} of {model!r}: {error}") from None
