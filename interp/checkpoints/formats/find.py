"""Find the weights in the tree that a file holds, and the config, step and curves beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from interp.checkpoints.formats.bundles import PREFERRED, Candidate, same_shapes, several, stated_step
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.keras_config import described
from interp.checkpoints.formats.nested import layers_of
from interp.checkpoints.formats.no_weights import OPTIMIZER, no_weights
from interp.checkpoints.formats.pickled_modules import plain_of, stated_by, weights_of
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError, UnreadableFile, unknown

# keys of the training state, which is not part of the model
TRAINING = re.compile(
    r"(.*_)?(optim(izer)?s?|opt|(lr_)?sched(uler)?s?|(grad_)?scaler|rng|callbacks|loops|loss(es)?|metrics|grads?|gradients?)(_states?|_state_dict)?",
    re.IGNORECASE,
)
CONFIG = (
    "config", "cfg", "model_args", "model_config", "model_cfg", "args", "hparams", "hyper_parameters", "hyperparameters",
    "options",
)  # fmt: skip
NO_CURVE = re.compile(
    r"(^|_)(steps?|epochs?|iterations?|indices|idx|seeds?|shape|sizes?)$"
)  # lists of numbers that are not recorded values
# of torch.compile, FSDP, checkpointed layers, Lightning's Fabric, and TransformerLens's bridges
ANYWHERE = (
    "_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.", "_original_component.",
)  # fmt: skip
LEADING = ("module.", "model.", "net.", "network.", "ema_model.", "averaged_model.")

MAX_VISITS = 8  # of a container that occurs at several places

Weights = Mapping[str, TensorRef]


@dataclass(frozen=True)
class Found:
    """The weights of one step in a file, and where they were.

    Attributes:
        where: path of keys inside the file, such as ``model`` or ``state_dicts/3``.
        weights: by name, with the wrappers' prefixes stripped.
        stripped: the prefixes that were stripped.
        step: the training step, if the file states it.
    """

    where: str
    weights: Weights
    stripped: tuple[str, ...] = ()
    step: int | None = None


@dataclass(frozen=True)
class Findings:
    """Everything useful in a file.

    Attributes:
        steps: the weights, of one step or of many.
        config: the training config.
        curves: recorded curves by name.
        notes: how the sets of weights were read, where a file holds several.
    """

    steps: tuple[Found, ...]
    config: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find(contents: Contents, key: str | None = None) -> Findings:
    """Look for state dicts in a file: at the top, under the usual names, in bundles of many steps.

    Args:
        contents: what `reading.read` returned.
        key: where the weights are, as a path of keys with ``/``; needed if a file holds several sets of weights.

    Returns:
        The weights, and the config and curves beside them.

    Raises:
        UnreadableFile: the file holds no named tensors.
        InterpError: there are several candidates, or none under ``key``; the message lists them.
    """
    containers = contents.tree if isinstance(contents.tree, (Mapping, list, tuple, Stub)) else {}
    if (
        isinstance(contents.tree, TensorRef) and contents.format == "pickle"
    ):  # a pickled array, as JAX's users keep them
        containers = {"array": contents.tree}
    candidates = {c.where: c for c in _candidates(containers, (), Counter())}
    if not candidates:
        raise UnreadableFile(no_weights(contents))
    top = contents.tree if isinstance(contents.tree, Mapping) else {}
    key = None if contents.genome is not None else key  # it has chosen the genome already
    chosen, notes = _choose(contents, candidates, key)
    found = [_strip(c.where, c.weights, step) for c, step in chosen]
    module = chosen[-1][0].module
    stated, said = ({}, ()) if module is None else stated_by(module)
    keras = described(contents.metadata.get("keras_config"))
    config = {**_config(top), **_plain(module), **stated, **keras.config}
    return Findings(tuple(found), config, _curves(top), (*notes, *said, *keras.notes))


def _candidates(tree: Any, keys: tuple[Any, ...], visits: Counter[int]) -> Iterator[Candidate]:
    """Yield all mappings from names to tensors, except those of the training state.

    A container that occurs at many places is entered at only a few of them, so that a small file cannot make this take
    forever.
    """
    if isinstance(tree, Stub):  # a whole pickled module, or an object that keeps its layers in lists
        weights = weights_of(tree)
        if not weights and isinstance(tree.state, Mapping):
            weights = layers_of(tree.state)
        if weights:
            yield Candidate(keys, weights, tree)
        return
    if isinstance(tree, Mapping) and tree.keys() >= OPTIMIZER:
        return
    if layers := layers_of(tree):
        yield Candidate(keys, layers)
        return
    if isinstance(tree, Mapping):
        tensors = {str(k): v for k, v in tree.items() if isinstance(v, TensorRef)}
        if any(t.ndim for t in tensors.values()):
            yield Candidate(keys, tensors)
    visits[id(tree)] += 1
    if len(keys) > 6 or visits[id(tree)] > MAX_VISITS:
        return
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    for name, item in items:
        if isinstance(item, (Mapping, list, tuple, Stub)) and not TRAINING.fullmatch(str(name)):
            yield from _candidates(item, (*keys, name), visits)


def _choose(
    contents: Contents, candidates: Mapping[str, Candidate], key: str | None
) -> tuple[list[tuple[Candidate, int | None]], tuple[str, ...]]:
    """The state dict to use, or the steps of a run with their numbers; and notes."""
    path, tree = contents.path, contents.tree
    everything = key is not None and (key == "*" or key.endswith("/*"))
    if key is not None and key != "*":
        stem = key.removesuffix("/*")
        under = {w: c for w, c in candidates.items() if w == stem or w.startswith(f"{stem}/")}
        parts = [] if under else [p for c in candidates.values() if (p := c.part(stem)) is not None]
        if len(parts) == 1:
            return [(parts[0], stated_step(tree))], ()
        if not under:
            raise InterpError(f"{path}: " + unknown("key", key, candidates))
        candidates = {stem: under[stem]} if stem in under else under
    own = stated_step(tree)
    if len(candidates) == 1:
        return [(next(iter(candidates.values())), own)], ()
    preferred = next((candidates[name] for name in PREFERRED if name in candidates), None)
    found = several(list(candidates.values()))
    if found is not None and (steps := found.steps(tree, path, own, everything)) is not None:
        line = list(zip(found.items, steps, strict=True))
        if preferred is None or preferred in found.items:
            return line, ()
        if same_shapes(preferred, found.items[-1]):
            return _ended(tree, line, preferred, own)
    if preferred is not None:
        return [(preferred, own)], _others(preferred, candidates)
    raise InterpError(f"{path} holds several sets of weights: " + (found.question() if found else _listing(candidates)))


def _others(chosen: Candidate, candidates: Mapping[str, Candidate]) -> tuple[str, ...]:
    """A note on other weights of the same network, such as an average of them, which a --key reads."""
    shapes = Counter(t.shape for t in chosen.weights.values())
    others = [
        where
        for where, c in candidates.items()
        if c is not chosen and Counter(t.shape for t in c.weights.values()) == shapes
    ]
    if not others:
        return ()
    return (
        f"{chosen.where!r} is read; the file has more weights of this form: {', '.join(others[:8])} (--key {others[0]})",
    )


def _ended(
    tree: Mapping[Any, Any], line: list[tuple[Candidate, int | None]], model: Candidate, own: int | None
) -> tuple[list[tuple[Candidate, int | None]], tuple[str, ...]]:
    """Checkpoints of a run with the final model beside them, which comes last where its step is known."""
    last = max((s for _, s in line if s is not None), default=0)
    stated = {"its step": own, "recorded losses": _recorded(tree)}
    end = next(((what, s) for what, s in stated.items() if s is not None and s > last), None)
    where = model.where
    if end is None:
        return line, (
            f"{where!r} is left out of the series: nothing in the file says at which step it was saved (--key {where})",
        )
    note = f"{where!r} is the last of the series, at step {end[1]:,}: " + (
        "the step that the file states" if end[0] == "its step" else "as many losses are recorded"
    )
    return [*line, (model, end[1])], (note,)


def _recorded(tree: Mapping[Any, Any]) -> int | None:
    """The number of training losses in the file: one a step."""
    return next(
        (len(v) for k, v in tree.items() if re.fullmatch(r"train_?loss(es)?", str(k)) and isinstance(v, list)), None
    )


def _listing(candidates: Mapping[str, Candidate]) -> str:
    named = ", ".join(f"{w or '(top)'} ({len(c.weights)} tensors)" for w, c in list(candidates.items())[:10])
    return f"{named}; choose one with --key NAME (key= in Python)"


def _strip(where: str, weights: Weights, step: int | None) -> Found:
    weights = {name: w for name, w in weights.items() if name != "n_averaged"}  # the counter of torch's AveragedModel
    names, stripped = {name: name for name in weights}, []
    for wrapper in ANYWHERE:
        if any(wrapper in n for n in names.values()):
            names = {k: n.replace(wrapper, "") for k, n in names.items()}
            stripped.append(wrapper)
    while True:
        prefix = next((p for p in LEADING if names and all(n.startswith(p) for n in names.values())), None)
        if prefix is None:
            break
        names = {k: n.removeprefix(prefix) for k, n in names.items()}
        stripped.append(prefix)
    if len(set(names.values())) < len(names):
        return Found(where, weights, (), step)  # stripping would merge two tensors, so the names mean something
    return Found(where, {names[k]: v for k, v in weights.items()}, tuple(stripped), step)


def _config(top: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"arch": top["arch"]} if isinstance(top.get("arch"), str) else {}
    for name in CONFIG:  # a training's settings may stand beside the model's
        value = top.get(name)
        if isinstance(value, Stub):  # argparse.Namespace, a dataclass
            value = value.state
        if isinstance(value, Mapping):
            found = {**{str(k): v for k, v in value.items()}, **found}
    return found


def _plain(module: Stub | None) -> dict[str, Any]:
    """The plain attributes of a pickled object that keeps its layers in lists, which are its settings."""
    state = None if module is None else module.state
    if not isinstance(state, Mapping) or "_modules" in state:
        return {}
    return plain_of(state)


def _curves(top: Mapping[Any, Any]) -> dict[str, list[float]]:
    """Recorded curves: lists of plain numbers, and 0-dimensional tensors as curves of one point."""
    curves = {}
    for name, value in top.items():
        if isinstance(value, list) and len(value) > 1 and all(_is_measurement(v) for v in value):
            if NO_CURVE.search(str(name)):
                continue
            curves[str(name)] = [float(v) for v in value]
        elif isinstance(value, TensorRef) and value.shape == () and "loss" in str(name):
            curves[str(name)] = [float(value.load())]
    return curves


def _is_measurement(value: Any) -> bool:
    """Whether a float can hold the number; NaN counts, since a diverged run records it."""
    return isinstance(value, (int, float)) and not abs(value) > 1e300
