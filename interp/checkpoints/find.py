"""Find, in the tree that a file holds, the weights, and what stands beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp.checkpoints.formats import Contents
from interp.checkpoints.restricted_pickle import Stub
from interp.checkpoints.tensors import TensorRef
from interp.errors import InterpError, UnreadableFile, unknown

# where the weights of a model usually lie, best first
PREFERRED = ("model", "model_state_dict", "state_dict", "net", "network", "module", "params", "weights")
# tensors under these keys belong to the training and not to the model
TRAINING = re.compile(r"optim|sched|scaler|rng|generator|loss|metric|callback|loop|grad", re.IGNORECASE)
SERIES = ("state_dicts", "checkpoints", "models", "snapshots")
STEP = ("step", "global_step", "steps", "iteration", "iter", "epoch", "num_updates", "update")
CONFIG = ("config", "cfg", "args", "hparams", "hyper_parameters", "hyperparameters", "options")
ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
LEADING = ("module.", "model.", "net.", "network.", "ema_model.", "averaged_model.")

Weights = Mapping[str, TensorRef]


@dataclass(frozen=True)
class Found:
    """The weights of one step in a file, and where they lay.

    Attributes:
        where: path of keys inside the file, such as ``model`` or ``state_dicts/3``.
        weights: by name, with the wrappers' prefixes stripped.
        stripped: the prefixes that were stripped.
        step: the training step, where the file says it.
    """

    where: str
    weights: Weights
    stripped: tuple[str, ...] = ()
    step: int | None = None


@dataclass(frozen=True)
class Findings:
    """Everything that is of use in a file: weights by step, config and recorded curves."""

    steps: tuple[Found, ...]
    config: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)


def find(contents: Contents, key: str | None = None) -> Findings:
    """Look for state dicts in a file: at the top, under the usual names, in bundles of many steps.

    Args:
        contents: what `formats.read` returned.
        key: where the weights lie, as a path of keys with ``/``, where the choice is not clear.

    Raises:
        UnreadableFile: the file holds no named tensors.
        InterpError: there are several candidates, or none under ``key``; the message lists them.
    """
    candidates = dict(_candidates(contents.tree))
    if not candidates:
        held = ", ".join(map(str, list(contents.tree)[:10])) if isinstance(contents.tree, Mapping) else "no mapping"
        stubs = (
            f". It names what is never read or run here: {', '.join(contents.stubs[:5])}. Do not load it with torch.load or "
            "pickle unless you trust its source"
            if contents.stubs
            else ""
        )
        raise UnreadableFile(
            f"{contents.path} ({contents.format}) holds no named tensors; it holds: {held}{stubs}; save the model's state_dict()"
        )
    top = contents.tree if isinstance(contents.tree, Mapping) else {}
    chosen = _choose(contents.path, candidates, key)
    step = _step(top)
    found = [
        _strip(where, candidates[where], bundled if bundled is not None else step)
        for where, bundled in zip(chosen, _bundled_steps(top, chosen), strict=True)
    ]
    return Findings(tuple(found), _config(top), _curves(top))


def _candidates(tree: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Weights]]:
    """All mappings from names to tensors, with their paths; what belongs to the optimizer is passed over."""
    if depth > 6:
        return
    if isinstance(tree, Stub):  # a whole pickled module
        state = tree.state[1] if isinstance(tree.state, tuple) and len(tree.state) == 2 else tree.state
        weights = dict(_module_weights(state)) if isinstance(state, Mapping) else {}
        if weights:
            yield path, weights
        return
    if isinstance(tree, list):
        for i, item in enumerate(tree[:100_000]):
            if isinstance(item, (Mapping, Stub)):
                yield from _candidates(item, _join(path, i), depth + 1)
        return
    if not isinstance(tree, Mapping):
        return
    tensors = {str(k): v for k, v in tree.items() if isinstance(v, TensorRef) and not TRAINING.search(str(k))}
    if any(t.ndim for t in tensors.values()):
        yield path, tensors
        return
    for name, item in tree.items():
        if not TRAINING.search(str(name)):
            yield from _candidates(item, _join(path, name), depth + 1)


def _module_weights(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, TensorRef]]:
    for group in ("_parameters", "_buffers"):
        for name, value in (state.get(group) or {}).items():
            if isinstance(value, TensorRef):
                yield prefix + name, value
    for name, module in (state.get("_modules") or {}).items():
        inner = module.state if isinstance(module, Stub) else None
        if isinstance(inner, Mapping):
            yield from _module_weights(inner, f"{prefix}{name}.")


def _join(path: str, part: Any) -> str:
    return f"{path}/{part}" if path else str(part)


def _choose(path: Path, candidates: Mapping[str, Weights], key: str | None) -> list[str]:
    """Paths of the state dicts to use: one, or the steps of a bundle."""
    if key is not None:
        under = [c for c in candidates if c == key or c.startswith(f"{key}/")]
        if not under:
            raise InterpError(f"{path}: " + unknown("key", key, candidates))
        candidates = {c: candidates[c] for c in under}
    if len(candidates) == 1:
        return list(candidates)
    parents = {c.rpartition("/")[0] for c in candidates}
    if len(parents) == 1 and (next(iter(parents)) in SERIES or all(_is_number(c) for c in candidates)):
        return sorted(candidates, key=_number)
    for name in PREFERRED:
        if name in candidates:
            return [name]
        bundle = [c for c in candidates if c.startswith(f"{name}/") and _is_number(c)]
        if bundle:
            return sorted(bundle, key=_number)
    for name in SERIES:
        bundle = [c for c in candidates if c.startswith(f"{name}/")]
        if bundle:
            return sorted(bundle, key=_number)
    listing = ", ".join(f"{c or '(top)'} ({len(w)} tensors)" for c, w in list(candidates.items())[:10])
    raise InterpError(f"{path} holds several sets of weights: {listing}; choose one with --key NAME (key= in Python)")


def _is_number(path: str) -> bool:
    return re.search(r"\d+$", path) is not None


def _number(path: str) -> int:
    match = re.search(r"(\d+)$", path)
    return int(match.group(1)) if match else -1


def _bundled_steps(top: Mapping[Any, Any], chosen: list[str]) -> list[int | None]:
    """Steps of a bundle: its integer keys, or a list of numbers of the same length beside it."""
    if len(chosen) == 1:
        return [None]
    for name, values in top.items():
        lengths_agree = isinstance(values, list) and len(values) == len(chosen)
        if lengths_agree and re.search(r"step|epoch|iter", str(name)) and all(isinstance(v, int) for v in values):
            return list(values)
    return [_number(c) for c in chosen]


def _strip(where: str, weights: Weights, step: int | None) -> Found:
    names, stripped = {name: name for name in weights}, []
    for wrapper in ANYWHERE:
        if any(wrapper in n for n in names.values()):
            names = {k: n.replace(wrapper, "") for k, n in names.items()}
            stripped.append(wrapper)
    while True:
        # torch.optim.swa_utils counts beside the wrapped module
        carrying = [n for n in names.values() if n != "n_averaged"]
        prefix = next((p for p in LEADING if carrying and all(n.startswith(p) for n in carrying)), None)
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
    for name in CONFIG:
        value = top.get(name)
        if isinstance(value, Stub):  # argparse.Namespace, a dataclass
            value = value.state
        if isinstance(value, Mapping) and value:
            return {str(k): v for k, v in value.items()}
    return {}


def _curves(top: Mapping[Any, Any]) -> dict[str, list[float]]:
    """Recorded curves: lists of plain numbers, and 0-dimensional tensors as curves of one point."""
    curves = {}
    for name, value in top.items():
        if isinstance(value, list) and len(value) > 1 and all(isinstance(v, (int, float)) for v in value):
            curves[str(name)] = [float(v) for v in value]
        elif isinstance(value, TensorRef) and value.shape == () and "loss" in str(name):
            curves[str(name)] = [float(value.load())]
    return curves
