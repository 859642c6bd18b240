"""Genomes for the tests: plain rows, their pickles under neat-python's names, and what they compute, written out naively."""

from __future__ import annotations

import math
import pickle
import random
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from types import ModuleType
from typing import Any

FUNCTIONS = {
    "sigmoid": lambda z: 1 / (1 + math.exp(-max(-60.0, min(60.0, 5 * z)))),
    "tanh": lambda z: math.tanh(max(-60.0, min(60.0, 2.5 * z))),
    "sin": lambda z: math.sin(max(-60.0, min(60.0, 5 * z))),
    "gauss": lambda z: math.exp(-5 * max(-3.4, min(3.4, z)) ** 2),
    "relu": lambda z: z if z > 0 else 0.0,
    "elu": lambda z: z if z > 0 else math.exp(z) - 1,
    "lelu": lambda z: z if z > 0 else 0.005 * z,
    "selu": lambda z: 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * (math.exp(z) - 1)),
    "softplus": lambda z: 0.2 * math.log(1 + math.exp(max(-60.0, min(60.0, 5 * z)))),
    "identity": lambda z: z,
    "clamped": lambda z: max(-1.0, min(1.0, z)),
    "inv": lambda z: 1 / z if z else 0.0,
    "log": lambda z: math.log(max(1e-7, z)),
    "exp": lambda z: math.exp(max(-60.0, min(60.0, z))),
    "abs": abs,
    "hat": lambda z: max(0.0, 1 - abs(z)),
    "square": lambda z: z**2,
    "cube": lambda z: z**3,
}
AGGREGATIONS = {
    "sum": sum,
    "product": lambda terms: reduce(lambda a, b: a * b, terms, 1.0),
    "max": lambda terms: max(terms, default=0.0),
    "min": lambda terms: min(terms, default=0.0),
    "maxabs": lambda terms: max(terms, key=abs, default=0.0),
    "mean": lambda terms: statistics.fmean(terms) if terms else 0.0,
    "median": lambda terms: statistics.median(terms) if terms else 0.0,
}


@dataclass
class Rows:
    """A genome as rows: nodes by key (bias, response, activation, aggregation), connections (source, target, weight, on)."""

    nodes: dict[int, tuple[float, float, str, str]]
    connections: list[tuple[int, int, float, bool]]
    n_inputs: int = 2
    n_outputs: int = 1
    key: int = 7
    fitness: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def sources(self, node: int) -> list[tuple[int, float]]:
        return [(s, w) for s, t, w, on in self.connections if t == node and on]

    def value(self, node: int, given: list[float]) -> float:
        """Of a node, by recursion in Python's floats: neat-python's rule."""
        if node < 0:
            return given[-node - 1]
        bias, response, activation, aggregation = self.nodes[node]
        terms = [w * self.value(s, given) for s, w in self.sources(node)]
        return FUNCTIONS[activation](bias + response * AGGREGATIONS[aggregation](terms))

    def steps(self, given: list[list[float]]) -> list[list[float]]:
        """Outputs at every step of neat-python's recurrent rule: a node reads the step before; without sources it is 0."""
        before, outputs = dict.fromkeys(self.nodes, 0.0), []
        for now in given:
            known = before | {-i - 1: value for i, value in enumerate(now)}
            before = {}
            for node, (bias, response, activation, aggregation) in self.nodes.items():
                terms = [w * known[s] for s, w in self.sources(node)]
                value = FUNCTIONS[activation](bias + response * AGGREGATIONS[aggregation](terms))
                before[node] = value if terms else 0.0
            outputs.append([before[i] for i in range(self.n_outputs)])
        return outputs


def random_rows(seed: int, recurrent: bool = False) -> Rows:
    """Every activation and aggregation, disabled connections, nodes without sources, outputs that feed hidden nodes."""
    dice = random.Random(seed)
    n_inputs, n_outputs, n_hidden = dice.randint(1, 4), dice.randint(1, 3), dice.randint(0, 7)
    hidden = dice.sample(range(n_outputs, n_outputs + 20), n_hidden)
    order = [*range(n_outputs), *hidden]
    dice.shuffle(order)  # an order in which connections may run
    tame = sorted(FUNCTIONS.keys() - {"inv", "log", "exp", "cube", "square"})  # the others amplify rounding
    nodes = {
        key: (
            dice.gauss(0, 1),
            dice.choice([1.0, dice.gauss(0, 1)]),
            dice.choice(tame),
            dice.choice(sorted(AGGREGATIONS)),
        )
        for key in dice.sample(order, len(order))
    }
    earlier = [-i - 1 for i in range(n_inputs)]
    connections: dict[tuple[int, int], tuple[float, bool]] = {}
    for key in order:
        pool = [*earlier, *(order if recurrent else ())]
        for source in dice.sample(pool, min(len(pool), dice.randint(0, 4))):
            connections[source, key] = dice.gauss(0, 1.5), dice.random() < 0.8
        earlier.append(key)
    rows = [(s, t, w, on) for (s, t), (w, on) in dice.sample(sorted(connections.items()), len(connections))]
    return Rows(nodes, rows, n_inputs, n_outputs, dice.randint(1, 500), dice.choice([None, dice.gauss(0, 1)]))


def small() -> Rows:
    """Two inputs, one output, one hidden node."""
    nodes = {0: (0.5, 1.0, "sigmoid", "sum"), 1: (-0.25, 2.0, "gauss", "sum")}
    return Rows(nodes, [(-1, 1, 1.0, True), (-2, 1, -0.5, True), (1, 0, 2.0, True), (-1, 0, 0.5, False)], fitness=3.5)


@contextmanager
def named(root: str = "neat") -> Iterator[dict[str, type]]:
    """Classes of neat-python's names, importable only in here, so that what is pickled is what users have."""
    places = {
        "DefaultGenome": "genome", "DefaultGenomeConfig": "genome", "DefaultNodeGene": "genes",
        "DefaultConnectionGene": "genes", "Config": "config", "Population": "population", "Species": "species",
        "DefaultSpeciesSet": "species", "ActivationFunctionSet": "activations", "Slotted": "genome",
    }  # fmt: skip
    parents = [root[:i] for i, letter in enumerate(root) if letter == "."] + [root]
    modules = {name: ModuleType(name) for name in [*parents, *(f"{root}.{place}" for place in places.values())]}
    made = {}
    for name, place in places.items():
        made[name] = type(name, (), {"__module__": f"{root}.{place}"})
        setattr(modules[f"{root}.{place}"], name, made[name])
    for function in FUNCTIONS:
        name = f"{function}_activation"
        made[name] = type(name, (), {"__module__": f"{root}.activations"})
        setattr(modules[f"{root}.activations"], name, made[name])
    held = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield made
    finally:
        for name, module in held.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def make(cls: type, **state: Any) -> Any:
    """An object of a class with these attributes."""
    made = cls()
    made.__dict__.update(state)
    return made


def genome(classes: dict[str, type], rows: Rows) -> Any:
    """The object that neat-python would pickle."""
    nodes = {
        key: make(classes["DefaultNodeGene"], key=key, bias=b, response=r, activation=act, aggregation=agg)
        for key, (b, r, act, agg) in rows.nodes.items()
    }
    connections = {
        (s, t): make(classes["DefaultConnectionGene"], key=(s, t), weight=w, enabled=on)
        for s, t, w, on in rows.connections
    }
    state = {"key": rows.key, "nodes": nodes, "connections": connections, "fitness": rows.fitness}
    return make(classes["DefaultGenome"], **{**state, **rows.more})


def config(classes: dict[str, type], rows: Rows, **more: Any) -> Any:
    """The config that neat-python would pickle beside it."""
    functions = {name: classes[f"{name}_activation"] for name in FUNCTIONS}
    own = make(
        classes["DefaultGenomeConfig"],
        num_inputs=rows.n_inputs,
        num_outputs=rows.n_outputs,
        input_keys=[-i - 1 for i in range(rows.n_inputs)],
        output_keys=list(range(rows.n_outputs)),
        activation_defs=make(classes["ActivationFunctionSet"], functions=functions),
        **{"feed_forward": True, **more},
    )
    return make(classes["Config"], genome_type=classes["DefaultGenome"], genome_config=own, pop_size=150)


def pickled(rows: Rows, with_config: bool = True, root: str = "neat", protocol: int = 4) -> bytes:
    """A genome, or a genome and its config, as users pickle them."""
    with named(root) as classes:
        made = genome(classes, rows)
        return pickle.dumps((made, config(classes, rows)) if with_config else made, protocol)


def checkpoint(population: list[Rows], generation: int = 12) -> bytes:
    """What neat-python's Checkpointer packs with gzip; a species holds the genomes again, and a copy of one."""
    with named() as classes:
        genomes = {rows.key: genome(classes, rows) for rows in population}
        species = make(
            classes["Species"], key=1, members=genomes, representative=genome(classes, population[0]), fitness=None
        )
        species_set = make(
            classes["DefaultSpeciesSet"], species={1: species}, genome_to_species=dict.fromkeys(genomes, 1)
        )
        state = random.Random(0).getstate()
        return pickle.dumps((generation, config(classes, population[0]), genomes, species_set, state), 4)
