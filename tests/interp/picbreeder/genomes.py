"""Genomes for the tests: their XML from plain rows, random ones by seed, and what they mean, written out naively."""

from __future__ import annotations

import colorsys
import functools
import math
import random
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interp.picbreeder import Genome
from interp.picbreeder.xml_files import parse

INPUTS = [("in", f"0_{i}", "identity", label) for i, label in enumerate(("bias", "d", "x", "y"))]
OUTPUTS = [
    ("out", f"0_{4 + i}", "identity", label) for i, label in enumerate(("hue", "saturation", "brightness"))
]  # kind, branch_number, activation, label
HUE, SATURATION, VALUE = (row[1] for row in OUTPUTS)

FUNCTIONS = {
    "identity": lambda z: z,
    "sin": math.sin,
    "cos": math.cos,
    "gaussian": lambda z: 2 * math.exp(-z * z) - 1,
    "sigmoid": lambda z: 2 / (1 + math.exp(-z)) - 1,
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "step": lambda z: float(z > 0),
    "ublin": lambda z: min(max(z, 0.0), 1.0),
    "ugaussian": lambda z: math.exp(-z * z),
    "usigmoid": lambda z: 1 / (1 + math.exp(-z)),
}
SMOOTH = sorted(FUNCTIONS.keys() - {"step"})  # a rounding error moves a step by 1


@dataclass(frozen=True)
class Sketch:
    """A genome as rows: nodes (kind, branch_number, activation, label) and links (source, target, weight)."""

    nodes: list[tuple[str, str, str, str]]
    links: list[tuple[str, str, float]]

    def xml(self) -> str:
        nodes, links = "\n".join(map(node_xml, self.nodes)), "\n".join(link_xml(*link) for link in self.links)
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<data version="1.0"><genome age="3">\n'
            f'<nodes count="{len(self.nodes)}">\n{nodes}\n</nodes>\n'
            f'<links count="{len(self.links)}">\n{links}\n</links>\n</genome></data>\n'
        )

    def genome(self) -> Genome:
        return parse(self.xml().encode(), "sketch")

    def sources(self, node: str) -> list[tuple[str, float]]:
        return [(source, weight) for source, target, weight in self.links if target == node]

    def is_input(self, node: str) -> bool:
        return any(row[1] == node and row[0] == "in" for row in self.nodes)

    def depth(self, node: str) -> int:
        """Edges of the longest path that ends here, by recursion; a node that is not an input is at 1 at least."""

        @functools.cache
        def longest(at: str) -> int:
            return 0 if self.is_input(at) else 1 + max((longest(s) for s, _ in self.sources(at)), default=0)

        return longest(node)

    def pixel(self, x: float, y: float) -> dict[str, float]:
        """The value of every node at one point, x along a row of the picture: by recursion, in Python's floats."""
        given = {"x": x, "y": y, "d": 1.4 * math.hypot(x, y), "bias": 1.0}
        labels = {row[1]: row[3] for row in self.nodes}
        kinds = {row[1]: row[2] for row in self.nodes}

        @functools.cache
        def value(node: str) -> float:
            if self.is_input(node):
                return given[labels[node]]
            return FUNCTIONS[kinds[node]](sum(weight * value(source) for source, weight in self.sources(node)))

        return {row[1]: value(row[1]) for row in self.nodes}

    def maps(self, rows: int, columns: int) -> dict[str, np.ndarray]:
        """What every node draws, pixel by pixel."""
        values = [[self.pixel(x, y) for x in steps(columns)] for y in steps(rows)]
        return {row[1]: np.array([[v[row[1]] for v in line] for line in values]) for row in self.nodes}


def steps(n: int) -> list[float]:
    """n numbers from -1 to 1."""
    return [-1 + 2 * i / (n - 1) for i in range(n)]


def colour(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """What a picture shows, by the standard library."""
    return colorsys.hsv_to_rgb((hue + 1) % 1, min(max(saturation, 0), 1), min(abs(value), 1))


def node_xml(row: tuple[str, str, str, str]) -> str:
    kind, node, activation, label = row
    branch, number = node.split("_")
    named = f' label="{label}"' if label else ""
    return (
        f'<node{named} type="{kind}"><marking branch="{branch}" id="{number}"/>'
        f"<activation>{activation}(x)</activation></node>"
    )


def link_xml(source: str, target: str, weight: float | str) -> str:
    ends = [
        f'<{tag} branch="{node.split("_")[0]}" id="{node.split("_")[1]}"/>'
        for tag, node in (("source", source), ("target", target))
    ]
    return f"<link>{''.join(ends)}<weight>{weight}</weight></link>"


def small() -> Sketch:
    """x and y through one hidden node each, to the three outputs."""
    hidden = [("hidden", "1_1", "sin", ""), ("hidden", "1_2", "gaussian", "")]
    links = [
        ("0_2", "1_1", 2.0),
        ("0_3", "1_2", -1.5),
        ("1_1", HUE, 0.75),
        ("1_2", SATURATION, 1.25),
        ("1_1", VALUE, 0.5),
        ("1_2", VALUE, -1.0),
    ]
    return Sketch([*INPUTS, *hidden, *OUTPUTS], links)


def fan(n: int) -> Sketch:
    """A chain of n hidden nodes, all of them needed by an output at its end."""
    names = [f"1_{i}" for i in range(n)]
    hidden = [("hidden", name, "sin", "") for name in names]
    chain = [(a, b, 1.0) for a, b in zip(["0_2", *names], names, strict=False)]
    last = [(names[-1], HUE, 1.0), (names[-1], SATURATION, 1.0), *((name, VALUE, 1.0) for name in names)]
    return Sketch([*INPUTS, *hidden, *OUTPUTS], [*chain, *last])


def random_sketch(seed: int) -> Sketch:
    """Acyclic: unused nodes, nodes without sources, parallel links, outputs that feed others, missing inputs."""
    dice = random.Random(seed)
    inputs = [row for row in INPUTS if dice.random() < 0.8]
    hidden = [(f"{dice.randint(1, 3)}_{10 + i}", dice.choice(SMOOTH)) for i in range(dice.randint(0, 10))]
    later = [("hidden", name, kind, "") for name, kind in hidden]
    later += [("out", name, dice.choice(SMOOTH), label) for _, name, _, label in OUTPUTS]
    dice.shuffle(later)  # an order in which links may run
    links = []
    earlier = [row[1] for row in inputs]
    for row in later:
        for source in dice.sample(earlier, min(len(earlier), dice.randint(0, 4))):
            links += [(source, row[1], dice.gauss(0, 1.5)) for _ in range(1 + (dice.random() < 0.1))]
        earlier.append(row[1])
    nodes = [*inputs, *later]
    dice.shuffle(nodes)
    dice.shuffle(links)
    return Sketch(nodes, links)


def written(folder: Path, data: str | bytes, name: str = "genome.xml") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def zipped(folder: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "genome.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def mutated(data: bytes, dice: random.Random) -> bytes:
    """One to four bytes changed, a piece cut out, doubled or moved."""
    found = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        start, length = dice.randrange(len(found)), dice.randint(1, 60)
        match dice.randrange(5):
            case 0:
                found[start] = dice.randrange(256)
            case 1:
                found[start] ^= 1 << dice.randrange(8)
            case 2:
                del found[start : start + length]
            case 3:
                found[start:start] = found[start : start + length]
            case _:
                piece = found[start : start + length]
                place = dice.randrange(len(found))
                found[place:place] = piece
    return bytes(found)
