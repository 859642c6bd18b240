"""Pickles of neat-python as users have them: one genome, with its config, many, checkpoints; damaged and hostile ones."""

from __future__ import annotations

import gzip
import json
import pickle
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import interp
from interp.checkpoints.formats import neat_genes
from interp.errors import InterpError, UnreadableFile
from interp.hooked import HookedNEAT
from interp.neat import NEATGenome
from tests.conftest import DATA
from tests.interp.neat.pickles import Rows, checkpoint, config, genome, make, named, pickled, random_rows, small

CASES = DATA.parent / "cases"


def load(path: Path, key: str | None = None) -> NEATGenome:
    found = interp.load(path, key=key, device="cpu").genome
    assert isinstance(found, NEATGenome)
    return found


def written(folder: Path, data: bytes, name: str = "winner.pkl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def held(rows: Rows) -> tuple[Any, ...]:
    """What a genome holds, as the test's rows say it."""
    nodes = {str(k): v for k, v in rows.nodes.items()}
    links = [(str(s), str(t), w) for s, t, w, on in rows.connections if on]
    off = [(str(s), str(t), w) for s, t, w, on in rows.connections if not on]
    return nodes, links, off, rows.fitness


def read(found: NEATGenome) -> tuple[Any, ...]:
    nodes = {n.id: (n.bias, n.response, n.activation, n.aggregation) for n in found.nodes if n.kind != "in"}
    links, off = ([(k.source, k.target, k.weight) for k in part] for part in (found.links, found.disabled))
    return nodes, links, off, found.fitness


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("root", ["neat", "pytorch_neat", "my_project.vendored_neat"])
def test_forks_and_protocols(tmp_path: Path, protocol: int, root: str) -> None:
    """What a genome is does not depend on the module that defines its class."""
    rows = random_rows(5)
    assert read(load(written(tmp_path, pickled(rows, root=root, protocol=protocol)))) == held(rows)


WRAPPED: dict[str, Callable[[dict[str, type], Any, Any], Any]] = {
    "a genome and its config": lambda _, g, c: (g, c),
    "a config and its genome": lambda _, g, c: [c, g],
    "a dict": lambda _, g, c: {"winner": g, "config": c},
    "a dict in a dict": lambda _, g, c: {"run": {"config": c, "best": {"genome": g}}},
    "the same genome twice": lambda _, g, c: {"winner": g, "all": [g], "config": c},
    "an object of the user's": lambda k, g, c: make(k["Species"], best=g, config=c),
    "a population of one": lambda k, g, c: make(k["Population"], population={7: g}, config=c, best_genome=g),
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_genome_inside_something(tmp_path: Path, wrapping: str) -> None:
    """Found wherever it lies; its config says which are inputs and outputs, so nothing is derived."""
    rows = random_rows(6)
    with named() as classes:
        data = pickle.dumps(WRAPPED[wrapping](classes, genome(classes, rows), config(classes, rows)), 4)
    found = load(written(tmp_path, data))
    assert read(found) == held(rows)
    assert found.inputs == tuple(str(-i - 1) for i in range(rows.n_inputs))
    assert found.outputs == tuple(str(i) for i in range(rows.n_outputs))
    assert not [note for note in found.notes if "no config" in note]


def test_without_a_config_inputs_and_outputs_are_derived_and_said(tmp_path: Path) -> None:
    """Inputs down to the lowest that is named; outputs from 0 until a connection leaves one."""
    node = (0.0, 1.0, "tanh", "sum")
    links = [(-1, 5, 1.0, True), (-3, 0, 1.0, False), (5, 0, 1.0, True), (5, 1, 1.0, True), (2, 1, 1.0, True)]
    rows = Rows({0: node, 1: node, 2: node, 5: node}, links)
    found = load(written(tmp_path, pickled(rows, with_config=False)))
    assert (found.inputs, found.outputs) == (("-1", "-2", "-3"), ("0", "1"))
    said = " ".join(found.notes)
    assert "inputs are taken to be -1 to -3" in said
    assert "outputs are taken to be 0, 1" in said
    subject = interp.load(tmp_path / "winner.pkl", device="cpu")
    assert set(found.notes) <= set(subject.provenance.notes)


def test_an_output_that_feeds_others_needs_the_config(tmp_path: Path) -> None:
    """Without it, 0 alone is certain to be an output."""
    node = (0.0, 1.0, "tanh", "sum")
    rows = Rows({0: node, 1: node, 2: node}, [(-1, 2, 1.0, True), (2, 0, 1.0, True), (1, 2, 1.0, True)], 1, 2)
    assert load(written(tmp_path, pickled(rows))).outputs == ("0", "1")
    assert load(written(tmp_path, pickled(rows, with_config=False))).outputs == ("0",)


def population(n: int = 5) -> list[Rows]:
    """Genomes with the keys 10, 11, ... of one task, of which the fourth is the best and the last has no fitness."""
    made = []
    for i in range(n):
        rows = small()
        rows.key, rows.fitness = 10 + i, None if i == n - 1 else float(-abs(i - 3))
        rows.connections[0] = (-1, 1, float(i), True)
        made.append(rows)
    return made


MANY: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "dict by key": lambda genomes: {g.key: g for g in genomes},
    "list of pairs": lambda genomes: [(g.key, g) for g in genomes],
    "dict of lists": lambda genomes: {"hall of fame": genomes},
}


@pytest.mark.parametrize("container", MANY)
def test_many_genomes_are_asked_for(tmp_path: Path, container: str) -> None:
    """The message counts them and names the best; a key chooses by path, by the genome's own key, or the best."""
    with named() as classes:
        data = pickle.dumps(MANY[container]([genome(classes, rows) for rows in population()]), 4)
    path = written(tmp_path, data)
    for reader in (interp.load, interp.inspect):
        with pytest.raises(
            InterpError, match="holds 5 NEAT genomes of 4 to 4 connections, fitness -3 to 0.*--key best"
        ) as e:
            reader(path)
        assert "state_dict" not in str(e.value)
        with pytest.raises(InterpError, match="unknown key '99'.*best"):
            reader(path, key="99")
    assert load(path, "best").links[0].weight == 3.0
    assert load(path, "12").links[0].weight == 2.0
    assert "genome" in interp.inspect(path, key="14").facts


def test_a_checkpoint_of_neat_python(tmp_path: Path) -> None:
    """Packed with gzip: its population alone counts, and its generation is the step."""
    path = written(tmp_path, gzip.compress(checkpoint(population())), "neat-checkpoint-12")
    with pytest.raises(InterpError, match="holds 5 NEAT genomes.*--key best is population/13.*population/10"):
        interp.load(path, device="cpu")
    subject = interp.load(path, key="best", device="cpu")
    assert subject.step == 12
    assert isinstance(subject.genome, NEATGenome)
    assert (subject.genome.links[0].weight, subject.genome.fitness) == (3.0, 0.0)
    assert subject.genome.inputs == ("-1", "-2")
    assert load(path, "population/11").links[0].weight == 1.0
    unpacked = written(tmp_path, checkpoint(population()), "unpacked.pkl")
    assert read(load(unpacked, "best")) == read(subject.genome)


def test_what_is_said_of_a_genome(tmp_path: Path) -> None:
    """`inspect` and the Subject name nodes, connections and activations, and what is not drawn."""
    path = written(tmp_path, pickled(small()))
    facts = interp.inspect(path).facts
    assert facts["format"] == "NEAT genome (pickle)"
    assert "3 enabled connections and 1 disabled; activations: sigmoid 1, gauss 1" in facts["genome"]
    assert not [name for name in facts.get("classes not read", "").split(", ") if name.endswith(("Genome", "Gene"))]
    subject = interp.load(path, device="cpu")
    assert isinstance(subject.model, HookedNEAT)
    assert subject.lacks(["genome", "weights"]) == []
    assert subject.lacks(["image"])
    rows = small()
    rows.n_inputs = 4
    notes = interp.load(written(tmp_path, pickled(rows)), device="cpu").provenance.notes
    assert "a function of 4 inputs, so it draws no picture" in notes


def test_notes_on_what_depends_on_more_than_the_genome(tmp_path: Path) -> None:
    """Nodes without inputs (0.92 and 1.0 differ), functions that the config replaces, genes without a response."""
    rows = small()
    rows.connections = [(1, 0, 1.0, True), (-1, 1, 1.0, False)]
    with named() as classes:
        made, own = genome(classes, rows), config(classes, rows, feed_forward=False)
        own.genome_config.activation_defs.functions["gauss"] = classes["Species"]
        own.genome_config.activation_defs.functions["sin"] = classes["Species"]  # no node uses it
        del made.nodes[0].response
        found = load(written(tmp_path, pickle.dumps((made, own), 4)))
    said = " | ".join(found.notes)
    assert "no enabled connection leads to node 1" in said
    assert "replaces the activation gauss by neat.species.Species" in said
    assert "activation sin" not in said
    assert "node 0 states no response: 1.0 is assumed" in said
    assert "feed_forward = False" in said


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    """As one of the suite's own checkpoints, feed-forward and recurrent."""
    for seed, recurrent in ((2, False), (3, True)):
        rows = random_rows(seed, recurrent)
        subject = interp.load(written(tmp_path, pickled(rows)), device="cpu")
        interp.save(subject.model, tmp_path / f"{seed}.safetensors")
        again = interp.load(tmp_path / f"{seed}.safetensors", device="cpu").model
        assert again.config == subject.model.config
        inputs = torch.ones((1, 3, rows.n_inputs) if recurrent else (3, rows.n_inputs), dtype=torch.float64)
        assert torch.equal(again(inputs), subject.model(inputs))


def broken(change: Callable[[Any], None]) -> bytes:
    with named() as classes:
        made = genome(classes, small())
        change(made)
        return pickle.dumps((made, config(classes, small())), 4)


def put(place: str, key: Any, name: str, value: Any) -> Callable[[Any], None]:
    return lambda made: getattr(made, place)[key].__dict__.update({name: value})


BROKEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "unknown activation": (put("nodes", 1, "activation", "swish"), "node 1: unknown activation 'swish'.*known: abs"),
    "an activation that is a list": (put("nodes", 1, "activation", ["sin"]), "node 1 .*without an activation"),
    "unknown aggregation": (put("nodes", 0, "aggregation", "total"), "node 0: unknown aggregation 'total'"),
    "no bias": (put("nodes", 0, "bias", None), "the bias of node 0 .*not a finite number"),
    "a bias that is true": (put("nodes", 0, "bias", True), "the bias of node 0 .*'True'"),
    "NaN": (put("connections", (1, 0), "weight", float("nan")), "weight of the connection 1 -> 0 .*'nan'"),
    "infinity": (put("nodes", 0, "response", float("inf")), "response of node 0 .*'inf'"),
    "beyond texts": (put("nodes", 0, "bias", 10**5000), "a whole number of 16,610 bits"),
    "a key beyond texts": (put("connections", (1, 0), "key", (10**5000, 0)), "a whole number of 16,610 bits"),
    "beyond floats": (put("connections", (1, 0), "weight", 10**400), "not a finite number"),
    "a text": (put("connections", (1, 0), "weight", "2.0"), "not a finite number"),
    "enabled by a text": (put("connections", (1, 0), "enabled", "yes"), "1 -> 0 .*neither enabled nor disabled"),
    "a connection of three": (put("connections", (1, 0), "key", (1, 2, 0)), "the key of type tuple; it is a pair of nodes"),
    "a connection of texts": (put("connections", (1, 0), "key", ("a", "b")), "keys are whole numbers"),
    "from nowhere": (put("connections", (1, 0), "key", (9, 0)), "source 9 of the link from 9 to 0 is not a node"),
    "into an input": (put("connections", (1, 0), "key", (1, -1)), "leads into -1, which is an input"),
    "from an input that the config lacks": (put("connections", (1, 0), "key", (-9, 0)), "source -9"),
    "no output": (lambda made: made.nodes.pop(0), "no node for its output 0"),
    "spiking genes": (lambda made: made.nodes[1].__dict__.pop("activation"), "spiking"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_genomes_name_the_cause(tmp_path: Path, case: str) -> None:
    """One thing wrong in a genome that is well otherwise."""
    change, message = BROKEN[case]
    path = written(tmp_path, broken(change))
    for reader in (interp.load, interp.inspect):
        with pytest.raises(InterpError, match=message) as raised:
            reader(path)
        assert str(path) in str(raised.value)
        assert len(str(raised.value)) < 1000


def test_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many nodes, inputs or genomes are refused before they cost anything."""
    rows = small()
    rows.connections.append((-(10**9), 0, 1.0, False))
    with pytest.raises(UnreadableFile, match="reads the input -1000000000; at most 10,000"):
        load(written(tmp_path, pickled(rows, with_config=False)))
    monkeypatch.setattr(neat_genes, "MAX_NODES", 1)
    with pytest.raises(UnreadableFile, match="2 nodes and 4 connections; at most 1 and 100,000"):
        load(written(tmp_path, pickled(small())))


def test_a_wide_genome_is_refused_where_its_layers_do_not_fit(tmp_path: Path) -> None:
    node = (0.0, 1.0, "tanh", "sum")
    rows = Rows(dict.fromkeys(range(6000), node), [(-1, i, 1.0, True) for i in range(6000)], 6000, 6000)
    with pytest.raises(InterpError, match="too many weights"):
        load(written(tmp_path, pickled(rows)))


def chain(n: int) -> Rows:
    node = (0.0, 1.0, "tanh", "sum")
    links = [(-1, n - 1, 1.0, True), *((i + 1, i, 1.0, True) for i in range(n - 1))]
    return Rows(dict.fromkeys(range(n), node), links, 1)


def test_long_chains_and_cycles_end(tmp_path: Path) -> None:
    """A thousand layers, and a cycle of all nodes: no recursion, no waiting."""
    started = time.perf_counter()
    assert max(load(written(tmp_path, pickled(chain(1000)))).depths.values()) == 1000
    ring = chain(1000)
    ring.connections.append((0, 999, 1.0, True))
    found = load(written(tmp_path, pickled(ring)))
    assert len(found.cycle) == 1001
    assert max(found.depths.values()) == 1000
    with pytest.raises(InterpError, match="up to 2000 layers"):
        load(written(tmp_path, pickled(chain(3000))))
    assert time.perf_counter() - started < 30


def test_gzip_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    """Cut, damaged, of something else, and a bomb."""
    whole = gzip.compress(checkpoint(population()))
    cases = {
        "cut": (whole[:-20], "truncated or corrupted gzip"),
        "damaged": (whole[:60] + b"\x55" * 20 + whole[80:], "truncated or corrupted|is compressed with gzip"),
        "a text": (gzip.compress(b"hello"), "is compressed with gzip"),
        "a cut pickle": (gzip.compress(checkpoint(population())[:-50]), "truncated or corrupted"),
        "a bomb": (gzip.compress(b"\x80\x04" + b"]" * (64 << 20)), "unpacks to more than"),
    }
    for name, (data, message) in cases.items():
        with pytest.raises(UnreadableFile, match=message) as raised:
            interp.load(written(tmp_path, data, name), device="cpu")
        assert str(tmp_path / name) in str(raised.value)


@pytest.mark.parametrize("carrier", ["bare", "gzip"])
def test_mutants_are_genomes_or_errors(tmp_path: Path, carrier: str) -> None:
    """300 mutations of a genome with its config: an InterpError, or a genome whose network runs."""
    original, dice, kinds = pickled(random_rows(4)), random.Random(1), {"genome": 0, "error": 0, "other": 0}
    longest = 0
    for _ in range(300):
        data = bytearray(original)
        at = dice.randrange(len(data))
        data[at : at + dice.choice([1, 1, 1, 0, 3])] = dice.randbytes(1)
        path = written(tmp_path, gzip.compress(data) if carrier == "gzip" else bytes(data), "mutant")
        try:
            found = interp.load(path, device="cpu")
        except InterpError as error:
            kinds["error"] += 1
            longest = max(longest, len(str(error)))
        else:
            kinds["genome" if isinstance(found.genome, NEATGenome) else "other"] += 1
    assert kinds["genome"] > 30
    assert kinds["error"] > 30
    assert kinds["other"] == 0
    assert longest < 2000


def test_nothing_in_a_pickle_runs(tmp_path: Path) -> None:
    """A genome whose pickle also calls a function: the call is data."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    with named() as classes:
        made = genome(classes, small())
        made.evil = Evil()
        path = written(tmp_path, pickle.dumps((made, config(classes, small())), 4))
    assert read(load(path)) == held(small())
    assert not (tmp_path / "ran").exists()


@pytest.mark.real_data
@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}")
def test_the_cases() -> None:
    """The graph that stands beside the pickle; the other one has a cycle, which is named."""
    folder = CASES / "neat_python_genome"
    expected = json.loads((folder / "expected.json").read_text())
    subject = interp.load(folder / "winner.pkl", device="cpu")
    found = subject.genome
    assert isinstance(found, NEATGenome)
    nodes, links, off, _ = read(found)
    assert {k: list(v) for k, v in nodes.items()} == expected["nodes"]
    wanted = [(str(s), str(t), w) for s, t, w, on in expected["connections"] if on]
    assert links == wanted
    assert off == [(str(s), str(t), w) for s, t, w, on in expected["connections"] if not on]
    rows = Rows({int(k): tuple(v) for k, v in expected["nodes"].items()}, [tuple(c) for c in expected["connections"]])
    points = np.random.default_rng(0).normal(size=(20, 2))
    outputs = subject.model(torch.tensor(points))[:, 0].detach().numpy()
    np.testing.assert_allclose(outputs, [rows.value(0, list(p)) for p in points], rtol=0, atol=1e-10)
    cyclic = CASES / "neat_python_genome_cyclic" / "genome.pkl"
    assert "recurrent, with the cycle 0 -> 1 -> 2 -> 0" in interp.inspect(cyclic).facts["genome"]
    assert [note for note in interp.load(cyclic, device="cpu").provenance.notes if "cycle 0 -> 1 -> 2 -> 0" in note]
