"""Find the weights in the tree that a file holds, and the config, step and curves beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError, UnreadableFile, unknown

# where the weights of a model usually lie, best first
PREFERRED = ("model", "model_state_dict", "state_dict", "net", "network", "module", "params", "weights")
# keys of the training state, which is not part of the model
TRAINING = re.compile(
    r"(.*_)?(optim(izer)?s?|opt|(lr_)?sched(uler)?s?|(grad_)?scaler|rng|callbacks|loops|loss(es)?|metrics|grads?|gradients?)(_states?|_state_dict)?",
    re.IGNORECASE,
)
SERIES = ("state_dicts", "checkpoints", "models", "snapshots")
STEP = ("step", "global_step", "steps", "iteration", "iter", "epoch", "num_updates", "update")
CONFIG = ("config", "cfg", "args", "hparams", "hyper_parameters", "hyperparameters", "options")
ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
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
    """

    steps: tuple[Found, ...]
    config: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)


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
    containers = contents.tree if isinstance(contents.tree, (Mapping, list, Stub)) else {}
    if (
        isinstance(contents.tree, TensorRef) and contents.format == "pickle"
    ):  # a pickled array, as JAX's users keep them
        containers = {"array": contents.tree}
    candidates = {c.where: c for c in _candidates(containers, (), Counter())}
    if not candidates:
        held = ", ".join(map(str, list(contents.tree)[:10])) if isinstance(contents.tree, Mapping) else "no dict"
        stubs = (
            f". It names classes that are never read or run here: {', '.join(contents.stubs[:5])}. Do not load it with "
            "torch.load or pickle unless you trust its source"
            if contents.stubs
            else ""
        )
        raise UnreadableFile(
            f"{contents.path} ({contents.format}) holds no named tensors; it holds: {held}{stubs}; save the model's state_dict()"
        )
    top = contents.tree if isinstance(contents.tree, Mapping) else {}
    key = None if contents.genome is not None else key  # it has chosen the genome already
    chosen, bundled = _choose(contents.path, candidates, key)
    steps = _bundled_steps(contents.tree, chosen) if bundled else [_step(top)]
    found = [_strip(c.where, c.weights, step) for c, step in zip(chosen, steps, strict=True)]
    return Findings(tuple(found), _config(top), _curves(top))


@dataclass(frozen=True)
class _Candidate:
    """A mapping from names to tensors, and the keys that lead to it (their types kept: 3 is a step, "3" a name)."""

    keys: tuple[Any, ...]
    weights: Weights

    @property
    def where(self) -> str:
        return "/".join(map(str, self.keys))


def _candidates(tree: Any, keys: tuple[Any, ...], visits: Counter[int]) -> Iterator[_Candidate]:
    """Yield all mappings from names to tensors, except those of the training state.

    A container that occurs at many places is entered at only a few of them, so that a small file cannot make this take
    forever.
    """
    if isinstance(tree, Stub):  # a whole pickled module
        weights = dict(_module_weights(tree, "", set()))
        if weights:
            yield _Candidate(keys, weights)
        return
    if isinstance(tree, Mapping):
        tensors = {str(k): v for k, v in tree.items() if isinstance(v, TensorRef)}
        if any(t.ndim for t in tensors.values()):
            yield _Candidate(keys, tensors)
    visits[id(tree)] += 1
    if len(keys) > 6 or visits[id(tree)] > MAX_VISITS:
        return
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    for name, item in items:
        if isinstance(item, (Mapping, list, Stub)) and not TRAINING.fullmatch(str(name)):
            yield from _candidates(item, (*keys, name), visits)


def _module_weights(module: Stub, prefix: str, seen: set[int]) -> Iterator[tuple[str, TensorRef]]:
    """Parameters and buffers of a pickled nn.Module, as its state dict would name them."""
    state = module.state[1] if isinstance(module.state, tuple) and len(module.state) == 2 else module.state
    if not isinstance(state, Mapping) or id(module) in seen:
        return
    seen.add(id(module))

    def part(name: str) -> Mapping[str, Any]:
        group = state.get(name)
        return group if isinstance(group, Mapping) else {}

    for name, value in (*part("_parameters").items(), *part("_buffers").items()):
        if isinstance(value, TensorRef):
            yield f"{prefix}{name}", value
    for name, inner in part("_modules").items():
        if isinstance(inner, Stub):
            yield from _module_weights(inner, f"{prefix}{name}.", seen)


def _choose(path: Path, candidates: Mapping[str, _Candidate], key: str | None) -> tuple[list[_Candidate], bool]:
    """The state dict to use, or the steps of a bundle (and whether it is one)."""
    if key is not None:
        under = {w: c for w, c in candidates.items() if w == key or w.startswith(f"{key}/")}
        if not under:
            raise InterpError(f"{path}: " + unknown("key", key, candidates))
        candidates = {key: under[key]} if key in under else under
    if len(candidates) == 1:
        return list(candidates.values()), False
    for name in PREFERRED:
        if name in candidates:
            return [candidates[name]], False
    bundle = _bundle(list(candidates.values()))
    if bundle:
        return bundle, True
    listing = ", ".join(f"{w or '(top)'} ({len(c.weights)} tensors)" for w, c in list(candidates.items())[:10])
    raise InterpError(f"{path} holds several sets of weights: {listing}; choose one with --key NAME (key= in Python)")


def _bundle(candidates: list[_Candidate]) -> list[_Candidate]:
    """One candidate per step if the candidates are the steps of a run: items of a list, or under numbers as keys."""
    for depth in range(3):
        by_step: dict[int, list[_Candidate]] = {}
        for c in candidates:
            number = _number(c.keys, depth)
            if number is not None:
                by_step.setdefault(number, []).append(c)
        steps = [_of_step(group, depth + 1) for _, group in sorted(by_step.items())]
        if len(steps) > 1 and all(s is not None for s in steps):
            return [s for s in steps if s is not None]
    return []


def _number(keys: tuple[Any, ...], depth: int) -> int | None:
    """The step that a key stands for: a whole number, ``step_100``, or digits under a name such as ``checkpoints``."""
    if len(keys) <= depth:
        return None
    key = keys[depth]
    if isinstance(key, int) and not isinstance(key, bool):
        return key
    named = re.fullmatch(r"(?:step|epoch|iter|iteration|ckpt|checkpoint)[-_]?(\d+)", str(key))
    if named:
        return int(named.group(1))
    return int(str(key)) if depth > 0 and keys[depth - 1] in SERIES and str(key).isdigit() else None


def _of_step(group: list[_Candidate], depth: int) -> _Candidate | None:
    """The model's weights among those of one step."""
    by_name = {"/".join(map(str, c.keys[depth:])): c for c in group}
    names = ["", *PREFERRED]
    return group[0] if len(group) == 1 else next((by_name[n] for n in names if n in by_name), None)


def _bundled_steps(tree: Any, chosen: list[_Candidate]) -> list[int | None]:
    """Steps of a bundle: the step stated in each, numbers in a list of the same length beside it, or its keys."""
    place = next(i for i in range(len(chosen[0].keys)) if len({c.keys[i] for c in chosen}) > 1)
    items = [_follow(tree, c.keys[: place + 1]) for c in chosen]
    own = [_step(item) if isinstance(item, Mapping) else None for item in items]
    if all(step is not None for step in own):
        return own
    listed = isinstance(
        _follow(tree, chosen[0].keys[:place]), list
    )  # where the keys are not steps, a list beside may hold them
    beside = _follow(tree, chosen[0].keys[: max(0, place - 1)])
    for name, values in beside.items() if listed and isinstance(beside, Mapping) else ():
        numbers = isinstance(values, list) and len(values) == len(chosen) and all(isinstance(v, int) for v in values)
        if numbers and re.search(r"step|epoch|iter", str(name)):
            return list(values)
    return [_number(c.keys, place) for c in chosen]


def _follow(tree: Any, keys: tuple[Any, ...]) -> Any:
    for name in keys:
        tree = tree[name]
    return tree


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


def _step(top: Mapping[Any, Any]) -> int | None:
    for name in STEP:
        value = top.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _config(top: Mapping[Any, Any]) -> dict[str, Any]:
    own = {"arch": top["arch"]} if isinstance(top.get("arch"), str) else {}
    for name in CONFIG:
        value = top.get(name)
        if isinstance(value, Stub):  # argparse.Namespace, a dataclass
            value = value.state
        if isinstance(value, Mapping) and value:
            return {**own, **{str(k): v for k, v in value.items()}}
    return own


def _curves(top: Mapping[Any, Any]) -> dict[str, list[float]]:
    """Recorded curves: lists of plain numbers, and 0-dimensional tensors as curves of one point."""
    curves = {}
    for name, value in top.items():
        if isinstance(value, list) and len(value) > 1 and all(_is_measurement(v) for v in value):
            curves[str(name)] = [float(v) for v in value]
        elif isinstance(value, TensorRef) and value.shape == () and "loss" in str(name):
            curves[str(name)] = [float(value.load())]
    return curves


def _is_measurement(value: Any) -> bool:
    """Whether a float can hold the number; NaN counts, since a diverged run records it."""
    return isinstance(value, (int, float)) and not abs(value) > 1e300
