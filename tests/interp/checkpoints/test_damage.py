"""Damaged files, thousands of them: each reads right or raises `UnreadableFile`, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import interp
from interp.checkpoints.formats import reading as formats
from interp.errors import InterpError, UnreadableFile
from tests.interp.checkpoints.files import references, write
from tests.interp.checkpoints.pickles import address_space

KINDS = ["torch zip", "torch legacy", "safetensors", "npz", "npz, compressed", "pickle"]
CHECKED = ("torch zip", "npz", "npz, compressed")  # these formats carry checksums: damage is never read as data
CASES = 40  # per format and kind of damage; raise it to look harder


def flipped(data: bytes, rng: random.Random) -> bytes:
    """One to four bits the other way round."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def overwritten(data: bytes, rng: random.Random) -> bytes:
    """A byte that became 0, 255 or anything."""
    content = bytearray(data)
    content[rng.randrange(len(content))] = rng.choice([0, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    return bytes(content)


def cut(data: bytes, rng: random.Random) -> bytes:
    """A few bytes gone."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 40) :]


def doubled(data: bytes, rng: random.Random) -> bytes:
    """A few bytes twice."""
    start = rng.randrange(len(data))
    return data[: start + rng.randint(1, 40)] + data[start:]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    f.__name__: f for f in (flipped, overwritten, cut, doubled)
}


def values(path: Path) -> list[tuple[str, list]]:
    """All tensors of a file, loaded, each as shape and dtype promised."""
    found = []
    for reference in references(formats.read(path).tree):
        loaded = reference.load()
        assert (tuple(loaded.shape), loaded.dtype) == (reference.shape, reference.dtype)
        found.append((str(loaded.dtype), loaded.tolist()))
    return found


def verdict(path: Path, truth: list[tuple[str, list]] | None) -> str | None:
    """What is wrong with the reader's answer to a file; None where it is right."""
    try:
        if truth is not None and values(path) != truth:
            return "read as other data, in silence"
        values(path)
    except UnreadableFile as error:
        return None if str(path) in str(error) else f"no path in: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def opened(path: Path) -> str | None:
    """The same of the front door, whose errors are of several kinds."""
    try:
        interp.load(path, device="cpu")
    except InterpError as error:
        return None if str(path) in str(error) else f"no path in: {error}"
    except Exception as error:
        return f"load: {type(error).__name__}: {error}"
    return None


def complaints(path: Path, damaged: Iterator[bytes], truth: list[tuple[str, list]] | None) -> list[str]:
    """The wrong answers to many damaged files, each with its number."""
    found = []
    for number, content in enumerate(damaged):
        path.write_bytes(content)
        with address_space(more=1 << 30):
            found += [f"case {number}: {said}" for said in (verdict(path, truth), opened(path)) if said]
    return found


def summary(found: list[str]) -> str:
    return f"{len(found)} wrong answers: " + " | ".join(line[:160] for line in found[:5])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_short_anywhere_is_unreadable(kind: str, tmp_path: Path) -> None:
    """Every length in steps of seven, and the last twenty bytes one by one."""
    path = write(kind, tmp_path)
    data = path.read_bytes()
    lengths = sorted({*range(0, len(data), 7), *range(len(data) - 20, len(data))})
    for length in lengths:
        path.write_bytes(data[:length])
        with pytest.raises(UnreadableFile, match=path.name):
            values(path)
        assert opened(path) is None, length


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_reads_right_or_is_unreadable(kind: str, damage: str, tmp_path: Path) -> None:
    """Where there are checksums, what is read is what was written."""
    path = write(kind, tmp_path)
    data, rng = path.read_bytes(), random.Random(f"{kind} {damage}")
    truth = values(path) if kind in CHECKED else None
    found = complaints(path, (DAMAGES[damage](data, rng) for _ in range(CASES)), truth)
    assert not found, summary(found)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_of_ours_is_an_error_of_the_file(damage: str, tmp_path: Path) -> None:
    """Its header holds config, task and step as JSON, which damage reaches too."""
    model = interp.HookedMLP(interp.MLPConfig((4,), 3, d_vocab=3, d_embed=2)).init_weights(seed=0)
    path = interp.save(model, tmp_path / "file.safetensors", task=interp.ModularArithmetic(3), step=7)
    data, rng = path.read_bytes(), random.Random(damage)
    found = complaints(path, (DAMAGES[damage](data, rng) for _ in range(CASES)), None)
    assert not found, summary(found)


def test_a_legacy_file_without_its_storages_is_unreadable(tmp_path: Path) -> None:
    """The list of storages at its end lost its entries; the tree still refers to them."""
    path = write("torch legacy", tmp_path)
    data = path.read_bytes()
    start = data.rindex(b"\x80\x02]")
    path.write_bytes(data[:start] + b"\x80\x02].")
    with pytest.raises(UnreadableFile, match=path.name):
        values(path)
