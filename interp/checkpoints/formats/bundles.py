"""Several sets of weights in one file: a run over time, or networks that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.steps import speaks_of_time, step_in_name, step_number
from interp.checkpoints.formats.tensors import TensorRef

# where the weights of a model usually lie, best first
PREFERRED = ("model", "model_state_dict", "state_dict", "net", "network", "module", "params", "weights")
STEP = (
    "step", "global_step", "global_steps", "steps", "iteration", "iter", "iter_num", "num_steps", "step_num", "n_steps", "epoch",
    "num_updates", "update",
)  # fmt: skip
DEEPEST = 3  # keys above the sets of a run


@dataclass(frozen=True)
class Candidate:
    """A mapping from names to tensors, and the keys that lead to it (their types kept: 3 is a step, "3" a name).

    Attributes:
        keys: that lead to it.
        weights: the tensors by name.
        module: the whole pickled module whose tensors they are, if they are one's.
    """

    keys: tuple[Any, ...]
    weights: Mapping[str, TensorRef]
    module: Stub | None = None

    def part(self, key: str) -> Candidate | None:
        """The tensors whose names begin with a word and a dot, such as ``model`` or ``actor``, without it.

        Args:
            key: the word, alone or behind the path of this set.

        Returns:
            The part; None where no name begins so.
        """
        word = key.removeprefix(f"{self.where}/").rstrip("/.")
        held = {n.removeprefix(f"{word}."): t for n, t in self.weights.items() if n.startswith(f"{word}.")}
        return Candidate((*self.keys, word), held) if held else None

    @property
    def where(self) -> str:
        """The keys as a path, as ``--key`` takes it."""
        return "/".join(map(str, self.keys))


@dataclass(frozen=True)
class Several:
    """Sets of weights of one network under the items of a list or the numbered keys of a dict.

    Attributes:
        above: the keys that lead to the list or dict.
        items: one set an item, in order.
    """

    above: tuple[Any, ...]
    items: list[Candidate]

    def steps(self, tree: Any, path: Path, own: int | None, certain: bool) -> list[int | None] | None:
        """The training step of every item, if something says that the items are one network over time.

        It is said by the steps inside the items, by a list of steps or epochs beside them, by the keys (``step_100``), by the
        name above them or of the file (``checkpoints``), or by the file's own step being the last key.

        Args:
            tree: of the file.
            path: of the file.
            own: the step that the file states.
            certain: the user says so.

        Returns:
            The steps; None if nothing says so.
        """
        place = len(self.above)
        keys = [c.keys[place] for c in self.items]
        inside = [stated_step(_follow(tree, c.keys[: place + 1])) for c in self.items]
        if all(step is not None for step in inside) and len(set(inside)) == len(inside):
            return inside
        beside = self._beside(tree)
        if beside is not None:
            return beside
        named = [step_in_name(k) if isinstance(k, str) else None for k in keys]
        if all(n is not None and n.said for n in named):
            return [n.step for n in named if n is not None]
        numbers = [step_number(k) for k in keys]
        above = self.above[-1] if self.above else path.name
        if certain or speaks_of_time(above) or (own is not None and own == max((n or 0 for n in numbers), default=0)):
            return numbers
        return None

    def _beside(self, tree: Any) -> list[int | None] | None:
        """Steps in a list of the same length beside a list of weights."""
        if not self.above or not isinstance(_follow(tree, self.above), (list, tuple)):
            return None
        around = _follow(tree, self.above[:-1])
        for name, values in around.items() if isinstance(around, Mapping) else ():
            if isinstance(values, (list, tuple)) and len(values) == len(self.items) and speaks_of_time(str(name)):
                numbers = [step_number(v) for v in values]
                if None not in numbers and len(set(numbers)) == len(numbers):
                    return numbers
        return None

    def question(self) -> str:
        """What the user must settle, with the two ways to do it."""
        where = "/".join(map(str, self.above))
        prefix = f"{where}/" if where else ""
        keys = [c.keys[len(self.above)] for c in self.items]
        under = f"under {where!r} " if where else ""
        return (
            f"{len(keys)} {under}({keys[0]} to {keys[-1]}), and nothing says that they are steps of one run; choose one with "
            f"--key {prefix}{keys[-1]} (key= in Python), or read all as steps with --key '{prefix}*'"
        )


def several(candidates: Sequence[Candidate]) -> Several | None:
    """The sets of weights that stand in a row, the outermost row first.

    Args:
        candidates: all sets of a file.

    Returns:
        The row; None if there is none of at least two networks with the same names.
    """
    for depth in range(DEEPEST + 1):
        rows: dict[tuple[Any, ...], dict[Any, list[Candidate]]] = {}
        for c in candidates:
            if len(c.keys) > depth and _counts(c.keys[depth]):
                rows.setdefault(c.keys[:depth], {}).setdefault(c.keys[depth], []).append(c)
        for above, items in rows.items():
            models = [_model(group, depth + 1) for _, group in sorted(items.items(), key=lambda i: _place(i[0]))]
            kept = [m for m in models if m is not None]
            if len(kept) == len(models) > 1 and all(set(m.weights) == set(kept[0].weights) for m in kept):
                return Several(above, kept)
    return None


def same_shapes(one: Candidate, other: Candidate) -> bool:
    """Whether two sets hold tensors of the same names and shapes."""
    return {n: t.shape for n, t in one.weights.items()} == {n: t.shape for n, t in other.weights.items()}


def stated_step(item: Any) -> int | None:
    """The training step that a dict states beside its weights; None if it states none."""
    if not isinstance(item, Mapping):
        return None
    values = (item.get(name) for name in STEP)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool)), None)


def _counts(key: Any) -> bool:
    return step_number(key) is not None or (isinstance(key, str) and step_in_name(key) is not None)


def _place(key: Any) -> int:
    number = step_number(key)
    named = step_in_name(key) if number is None and isinstance(key, str) else None
    return number if number is not None else named.step if named else 0


def _model(group: list[Candidate], depth: int) -> Candidate | None:
    """The model's weights among those of one item, beside an optimizer's or an average's."""
    by_name = {"/".join(map(str, c.keys[depth:])): c for c in group}
    return group[0] if len(group) == 1 else next((by_name[n] for n in ("", *PREFERRED) if n in by_name), None)


def _follow(tree: Any, keys: tuple[Any, ...]) -> Any:
    for name in keys:
        tree = tree[name]
    return tree
