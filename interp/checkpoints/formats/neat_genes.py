"""A NEAT genome from the inert stubs of its genes: numbers and texts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp.checkpoints.formats.neat_pickles import fitness_of, state_of
from interp.checkpoints.formats.pickled_values import Stub
from interp.errors import UnreadableFile
from interp.neat import NEATGenome
from interp.picbreeder.graph import Link, Node

MAX_NODES, MAX_CONNECTIONS = 10_000, 100_000


def parse(genome: Stub, name: str, config: Mapping[Any, Any]) -> NEATGenome:
    """A genome from its inert stub.

    Args:
        genome: one that `find_genomes` found.
        name: what to call it.
        config: as `find_config` gave it.

    Returns:
        The graph, with notes on what was derived.

    Raises:
        UnreadableFile: too large, damaged, or genes that are not those of neat-python's default genome.
    """
    state, notes = state_of(genome), []
    genes, connections = state["nodes"], state["connections"]
    if len(genes) > MAX_NODES or len(connections) > MAX_CONNECTIONS:
        raise UnreadableFile(
            f"a NEAT genome of {len(genes):,} nodes and {len(connections):,} connections; at most {MAX_NODES:,} and "
            f"{MAX_CONNECTIONS:,} are read"
        )
    links = [_connection(key, gene) for key, gene in connections.items()]
    keys = [_key(key, "node") for key in genes]
    inputs = _inputs(config, links, notes)
    outputs = _outputs(config, keys, links, notes)
    own = {key: _node(key, gene, notes) for key, gene in zip(keys, genes.values(), strict=True)}
    if missing := [k for k in outputs if k not in own]:
        raise UnreadableFile(f"the NEAT genome has no node for its output {missing[0]}")
    nodes = [Node(str(k), "in", "identity", str(k)) for k in inputs]
    nodes += [Node(str(k), "out", *own[k][:1], str(k), "", *own[k][1:]) for k in outputs]
    nodes += [Node(str(k), "hidden", *own[k][:1], "", "", *own[k][1:]) for k in keys if k not in set(outputs)]
    enabled = tuple(Link(str(s), str(t), w) for s, t, w, on in links if on)
    disabled = tuple(Link(str(s), str(t), w) for s, t, w, on in links if not on)
    notes += _about_functions(config, own) + _about_use(config, enabled, nodes)
    return NEATGenome(name, tuple(nodes), enabled, tuple(notes), disabled, fitness_of(genome))


def _shown(value: Any) -> str:
    """A value in a message: short, and never a number of thousands of digits."""
    plain = isinstance(value, (str, float, bool, type(None))) or (isinstance(value, int) and abs(value) < 10**18)
    return repr(str(value)[:40]) if plain else f"of type {type(value).__name__}"


def _key(key: Any, what: str) -> int:
    if type(key) is not int or abs(key) > 10**12:
        raise UnreadableFile(f"a {what} of the NEAT genome has the key {_shown(key)}; keys are whole numbers")
    return key


def _number(state: Mapping[Any, Any], name: str, where: str) -> float:
    value = state.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not -1e300 < value < 1e300:
        raise UnreadableFile(f"the {name} of {where} of the NEAT genome is {_shown(value)}, not a finite number")
    return float(value)


def _node(key: int, gene: Stub, notes: list[str]) -> tuple[str, float, float, str]:
    """Activation, bias, response and aggregation."""
    state = state_of(gene)
    if not isinstance(state.get("activation"), str):
        raise UnreadableFile(
            f"node {key} of the NEAT genome is a {gene.qualified[:60]} without an activation; the genes of neat-python's "
            "DefaultGenome are read (not those of spiking or continuous-time networks)"
        )
    response = _number(state, "response", f"node {key}") if "response" in state else 1.0
    aggregation = state.get("aggregation", "sum")
    for name in ("response", "aggregation"):
        if name not in state:
            notes.append(f"node {key} states no {name}: {response if name == 'response' else 'sum'} is assumed")
    return state["activation"], _number(state, "bias", f"node {key}"), response, str(aggregation)


def _connection(key: Any, gene: Stub) -> tuple[int, int, float, bool]:
    state = state_of(gene)
    ends = state.get("key", key)
    if not isinstance(ends, tuple) or len(ends) != 2:
        raise UnreadableFile(f"a connection of the NEAT genome has the key {_shown(ends)}; it is a pair of nodes")
    source, target = (_key(end, "connection") for end in ends)
    where = f"the connection {source} -> {target}"
    enabled = state.get("enabled")
    if not isinstance(enabled, (bool, int)):
        raise UnreadableFile(f"{where} of the NEAT genome is neither enabled nor disabled")
    return source, target, _number(state, "weight", where), bool(enabled)


def _inputs(config: Mapping[Any, Any], links: list[tuple[int, int, float, bool]], notes: list[str]) -> list[int]:
    """The keys of the inputs: -1, -2, ..., as the config states them or as far as a connection names one."""
    if config:
        return [_key(key, "input") for key in config["input_keys"]]
    lowest = min((source for source, *_ in links), default=0)
    if lowest < -MAX_NODES:
        raise UnreadableFile(
            f"a connection of the NEAT genome reads the input {lowest}; at most {MAX_NODES:,} are read"
        )
    notes.append(
        f"the file holds no config: inputs are taken to be -1 to {lowest}, the lowest that a connection names"
        if lowest < 0
        else "the file holds no config and no connection reads an input: the genome is taken to have none"
    )
    return list(range(-1, lowest - 1, -1))


def _outputs(
    config: Mapping[Any, Any], keys: list[int], links: list[tuple[int, int, float, bool]], notes: list[str]
) -> list[int]:
    """The keys of the outputs: as the config states them, or 0 and the keys after it that no connection leaves."""
    if config:
        return [_key(key, "output") for key in config["output_keys"]]
    leaving = {source for source, *_ in links}
    held, outputs = set(keys), [0]
    while outputs[-1] + 1 in held and outputs[-1] + 1 not in leaving:
        outputs.append(outputs[-1] + 1)
    notes.append(
        f"the file holds no config: outputs are taken to be {', '.join(map(str, outputs[:20]))} (from 0 on, as long as no "
        "connection leaves a node); pickle.dump((genome, config), file) keeps them"
    )
    return outputs


def _about_functions(config: Mapping[Any, Any], own: Mapping[int, tuple[str, float, float, str]]) -> list[str]:
    """A note where the config has put a function of the user's own under a name of neat-python's."""
    notes = []
    for kind, place, index in (("activation", "activation_defs", 0), ("aggregation", "aggregation_function_defs", 3)):
        functions = state_of(config.get(place)).get("functions")
        used = {node[index] for node in own.values()}
        for name, function in functions.items() if isinstance(functions, Mapping) else ():
            qualified = str(getattr(function, "qualified", ""))
            if name in used and qualified and qualified.rpartition(".")[2] != f"{name}_{kind}":
                notes.append(
                    f"the config replaces the {kind} {name} by {qualified[:80]}, which is not read; neat-python's is used"
                )
    return notes


def _about_use(config: Mapping[Any, Any], links: tuple[Link, ...], nodes: list[Node]) -> list[str]:
    """Notes on nodes that depend on the version of neat-python, and on how the config would run the genome."""
    notes = []
    reached, read = {link.target for link in links}, {link.source for link in links}
    alone = [n.id for n in nodes if n.kind != "in" and n.id not in reached and (n.kind == "out" or n.id in read)]
    if alone:
        notes.append(
            f"no enabled connection leads to node {', '.join(alone[:10])}: it gives act(bias), as in neat-python since 1.0 "
            "(0.92 leaves it and what it feeds at 0); in a recurrent network it stays at 0"
        )
    if config.get("feed_forward") is False:
        notes.append(
            "its config allows recurrent networks (feed_forward = False); a genome without a cycle is read as feed-forward"
        )
    return notes
