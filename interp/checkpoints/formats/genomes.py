"""Genomes as checkpoints: the graph, and its layers as named tensors with a header as `interp.save` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.header import HEADER, header_text
from interp.checkpoints.formats.neat_genes import parse
from interp.checkpoints.formats.neat_pickles import (
    find_config,
    find_genomes,
    fitness_of,
    is_checkpoint,
    state_of,
)
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError, unknown
from interp.neat import NEATGenome
from interp.picbreeder import Genome
from interp.picbreeder import read as read_picbreeder
from interp.picbreeder.xml_files import genome_members

PICBREEDER = "Picbreeder genome"
BEST = "best"


def zipped_genome(names: list[str]) -> bool:
    """Whether a zip archive may hold a genome of Picbreeder, by the names of its members.

    Args:
        names: of all members.

    Returns:
        True where one member is left that is XML by its name, or has no suffix.
    """
    members = genome_members(names)
    return (
        len(members) == 1
        and members[0].count("/") <= 1
        and Path(members[0]).suffix.lower() in ("", ".xml")
        and (
            "/" not in members[0]
            or not any(n.startswith(("word/", "xl/", "ppt/", "docProps/")) for n in names)  # Office's
        )
    )


def with_genome(contents: Contents, key: str | None) -> Contents:
    """The contents of a file, with its genome if it holds one.

    Args:
        contents: as the reader of the format gave them.
        key: which genome, where the file holds several.

    Returns:
        The graph and its layered form; other contents as they are.

    Raises:
        InterpError: several genomes and no key, a damaged genome.
    """
    if contents.format == PICBREEDER:
        return _layered(contents, read_picbreeder(contents.path, key), None)
    found = find_genomes(contents.tree) if contents.stubs else {}
    if not found:
        return contents
    chosen = _chosen(found, key)
    genome = _with_note(parse(chosen, contents.path.stem, find_config(contents.tree)))
    step = contents.tree[0] if is_checkpoint(contents.tree) else None
    used = {stub.qualified for stub in _read_stubs(chosen)}
    unread = tuple(name for name in contents.stubs if name not in used)
    return _layered(replace(contents, format="NEAT genome (pickle)", stubs=unread), genome, step)


def _layered(contents: Contents, genome: Genome | NEATGenome, step: int | None) -> Contents:
    model = genome.layered()
    tree = {name: TensorRef.of(parameter.detach()) for name, parameter in model.named_parameters()}
    return replace(contents, tree=tree, metadata={HEADER: header_text(model.config, None, step)}, genome=genome)


def _with_note(genome: NEATGenome) -> NEATGenome:
    """A note on what the network takes, where it is not a function of a plane."""
    if genome.cycle:
        note = (
            f"a recurrent genome, with the cycle {' -> '.join(genome.cycle)}: it takes inputs [batch, time, "
            f"{len(genome.inputs)}], a node reads the step before, and it draws no picture"
        )
    elif not genome.draws:
        note = f"a function of {len(genome.inputs)} inputs, so it draws no picture"
    else:
        return genome
    return replace(genome, notes=(*genome.notes, note))


def _chosen(found: Mapping[str, Stub], key: str | None) -> Stub:
    """The genome under a key: the path that leads there, its own key, or ``best`` by fitness."""
    fitness = {path: value for path, genome in found.items() if (value := fitness_of(genome)) is not None}
    best = max(fitness, key=lambda path: fitness[path]) if fitness else None
    if key is None:
        if len(found) == 1:
            return next(iter(found.values()))
        raise InterpError(f"{_listing(found, fitness, best)}; choose one with --key NAME (key= in Python)")
    if key == BEST and best is not None:
        return found[best]
    if key in found:
        return found[key]
    named = [genome for genome in found.values() if str(state_of(genome).get("key")) == key]
    if len(named) == 1:
        return named[0]
    raise InterpError(unknown("key", key[:60], [*([BEST] if best is not None else []), *list(found)[:20]]))


def _listing(found: Mapping[str, Stub], fitness: Mapping[str, float], best: str | None) -> str:
    sizes = [len(state_of(genome)["connections"]) for genome in found.values()]
    text = f"holds {len(found):,} NEAT genomes of {min(sizes)} to {max(sizes)} connections"
    if best is not None:
        text += f", fitness {min(fitness.values()):.6g} to {fitness[best]:.6g} (--key {BEST} is {best})"
    return f"{text}: {', '.join(list(found)[:8])}{', ...' if len(found) > 8 else ''}"


def _read_stubs(genome: Stub) -> list[Stub]:
    """The objects of a genome whose contents have been read."""
    state = state_of(genome)
    return [genome, *state["nodes"].values(), *state["connections"].values()]
