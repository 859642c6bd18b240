"""NEAT genomes among the values of a pickle, found by what they hold.

Classes are not looked at beyond their shape, so that genomes of forks and subclasses are read as those of neat-python are:
an object with ``nodes`` and ``connections``, whose values are genes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interp.checkpoints.formats.pickled_values import Stub
from interp.errors import InterpError

MAX_DEPTH, MAX_GENOMES = 6, 100_000
RANDOM_STATE = 5  # the length of a checkpoint: generation, config, population, species, state of the generator


def state_of(value: Any) -> Mapping[Any, Any]:
    """The attributes of a pickled object.

    Args:
        value: of a pickle that was read as data.

    Returns:
        By name; empty for everything else.
    """
    state = value.state if isinstance(value, Stub) else None
    if isinstance(state, tuple) and len(state) == 2:  # with __slots__
        state = (
            {**(state[0] or {}), **(state[1] or {})} if all(isinstance(s, (Mapping, type(None))) for s in state) else {}
        )
    return state if isinstance(state, Mapping) else {}


def is_genome(value: Any) -> bool:
    """Whether a value is a NEAT genome: nodes and connections by key, of genes.

    Args:
        value: of a pickle that was read as data.

    Returns:
        True for objects of neat-python and its forks.
    """
    state = state_of(value)
    nodes, connections = state.get("nodes"), state.get("connections")
    if not isinstance(nodes, Mapping) or not isinstance(connections, Mapping) or not nodes:
        return False
    genes = [*nodes.values(), *connections.values()]
    return all(isinstance(gene, Stub) for gene in genes) and "bias" in state_of(genes[0])


def find_genomes(tree: Any) -> dict[str, Stub]:
    """All genomes in a pickle: alone, in containers, in a population or a checkpoint of neat-python.

    Args:
        tree: what the pickle held.

    Returns:
        By the path of keys that leads there; each once.

    Raises:
        InterpError: more than `MAX_GENOMES`.
    """
    if is_checkpoint(tree):
        tree = {"population": tree[2]}
    elif isinstance(state_of(tree).get("population"), Mapping):  # a pickled neat.Population
        tree = {"population": state_of(tree)["population"]}
    found: dict[str, Stub] = {}
    seen: set[int] = set()
    for path, genome in _walk(tree, (), seen):
        found["/".join(path)] = genome
        if len(found) > MAX_GENOMES:
            raise InterpError(f"the file holds more than {MAX_GENOMES:,} genomes; save fewer in a file")
    return found


def is_checkpoint(tree: Any) -> bool:
    """Whether a value is what neat-python's Checkpointer writes.

    Args:
        tree: what the pickle held.

    Returns:
        True for (generation, config, population, species, state of the random generator).
    """
    return (
        isinstance(tree, tuple)
        and len(tree) == RANDOM_STATE
        and type(tree[0]) is int
        and isinstance(tree[2], Mapping)
        and any(is_genome(genome) for genome in tree[2].values())
    )


def _walk(tree: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], Stub]]:
    """Genomes below a value; whatever occurs at several places is entered once."""
    if isinstance(tree, (Mapping, list, tuple, Stub)):
        if id(tree) in seen or len(path) > MAX_DEPTH:
            return
        seen.add(id(tree))
    if isinstance(tree, Stub) and is_genome(tree):
        yield path, tree
        return
    items: Any = ()
    if isinstance(tree, (Mapping, Stub)):
        items = (tree if isinstance(tree, Mapping) else {**state_of(tree), **tree.entries}).items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    for name, value in items:
        yield from _walk(value, (*path, str(name)[:60]), seen)


def find_config(tree: Any) -> Mapping[Any, Any]:
    """The settings of genomes that were pickled beside them.

    Args:
        tree: what the pickle held.

    Returns:
        The attributes of a DefaultGenomeConfig; empty if there is none.
    """
    waiting, seen = [(tree, 0)], set()
    while waiting:
        value, depth = waiting.pop()
        if id(value) in seen or depth > MAX_DEPTH:
            continue
        seen.add(id(value))
        state = state_of(value)
        if isinstance(state.get("input_keys"), list) and isinstance(state.get("output_keys"), list):
            return state
        if is_genome(value):
            continue
        inner = value if isinstance(value, (list, tuple)) else (value if isinstance(value, Mapping) else state).values()
        waiting += [(v, depth + 1) for v in inner if isinstance(v, (Mapping, list, tuple, Stub))]
    return {}


def fitness_of(genome: Stub) -> float | None:
    """The recorded fitness of a genome.

    Args:
        genome: one that `find_genomes` found.

    Returns:
        None where there is none, or no finite number.
    """
    value = state_of(genome).get("fitness")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        return None
    return float(value)
