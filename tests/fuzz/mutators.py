"""Mutations of bytes, pickles, JSON and texts; all take their chance from one random number generator."""

from __future__ import annotations

import json
import pickletools
import struct
from random import Random
from typing import Any

ODD_NUMBERS = (
    0,
    1,
    -1,
    127,
    128,
    255,
    256,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53,
    2**62,
    2**63,
    10**30,
    0.5,
    1e308,
    float("nan"),
)
ODD_TEXTS = (
    "",
    "0",
    "-1",
    "nan",
    "../x",
    "a/b",
    "\x00",
    "é" * 30,
    "x" * 5000,
    "{}",
    "1e999",
    "None",
    "__class__",
    "=1+1",
    "9" * 400,
)
ODD_VALUES: tuple[Any, ...] = (None, True, [], {}, [[]], [[[[]]]], {"a": None}, *ODD_NUMBERS, *ODD_TEXTS)
ODD_PIECES = (*ODD_TEXTS, *map(str, ODD_NUMBERS), *":=,;/.x><[]()'\"\t\n ")
# opcodes that a pickler writes seldom, and short programs that a reader should survive
OPCODES = [bytes([i]) for i in range(256)]
PROGRAMS = (
    b"2", b"\x85", b"\x86", b"0", b"(t", b"]", b"}", b"\x8f", b"(\x91", b"R", b"b", b"\x81", b"Q", b"u", b"e", b"s",
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch\nSize\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"cnumpy\ndtype\n",
    b"c_codecs\nencode\n", b"cbuiltins\nfrozenset\n", b"ctorch.storage\n_load_from_bytes\n", b"\x96" + struct.pack("<Q", 1 << 32),
    b"\x8e" + struct.pack("<Q", 1 << 40), b"\x8b" + struct.pack("<i", 1 << 30), b"\x95" + struct.pack("<Q", 1 << 33),
    b"2\x86" * 40,
    b"q\x00h\x00\x86" * 30, b"]" * 3000, b"J\xff\xff\xff\xff", b"M\xff\xff", b"K\x00", b"N", b"\x88",
)  # fmt: skip


def mutated_bytes(data: bytes, rng: Random) -> bytes:
    """One to four changes: bits, bytes, numbers, pieces cut, doubled, moved, or put in."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not content:
            return bytes(content)
        at, length = rng.randrange(len(content)), rng.choice((1, 2, 4, 8, rng.randint(1, 60)))
        match rng.randrange(8):
            case 0:
                content[at] ^= 1 << rng.randrange(8)
            case 1:
                content[at] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = content[at : at + length] * rng.choice((1, 1, 3, 50))
            case 4:
                content[at:at] = bytes(rng.randrange(256) for _ in range(length))
            case 5:
                number = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**64 - 1)) % 2 ** (8 * min(length, 8))
                content[at : at + min(length, 8)] = number.to_bytes(min(length, 8), rng.choice(("little", "big")))
            case 6:
                other = rng.randrange(len(content))
                content[at : at + length] = content[other : other + length]
            case _:
                del content[at:]
    return bytes(content)


def mutated_pickle(data: bytes, rng: Random) -> bytes:
    """Instructions taken out, doubled, moved, replaced, or put in; the rest stays a pickle."""
    try:
        places = [place for _, _, place in pickletools.genops(data)]
    except Exception:  # a mutation of a mutation
        return mutated_bytes(data, rng)
    parts = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        match rng.randrange(6):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, parts[other])
            case 2:
                parts[at], parts[other] = parts[other], parts[at]
            case 3:
                parts.insert(at, rng.choice(PROGRAMS))
            case 4:
                parts.insert(at, rng.choice(OPCODES))
            case _:
                parts[at] = mutated_bytes(parts[at], rng)
        if not parts:
            break
    return b"".join(parts)


def mutated_json(value: Any, rng: Random) -> Any:
    """A JSON value with one part of it replaced, taken out, or nested."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(sorted(value))
        made = dict(value)
        match rng.randrange(6):
            case 0:
                del made[name]
            case 1:
                made[rng.choice(ODD_TEXTS)] = made[name]
            case _:
                made[name] = mutated_json(value[name], rng)
        return made
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], mutated_json(value[at], rng), *value[at + 1 :]]
    return rng.choice((*ODD_VALUES, [value] * rng.choice((0, 2, 100)), {"a": value}))


def mutated_json_text(data: bytes, rng: Random) -> bytes:
    """The same of a text; sometimes its bytes, and sometimes lists without end."""
    if rng.random() < 0.03:
        return b"[" * 100_000
    if rng.random() < 0.15:
        return mutated_bytes(data, rng)
    try:
        return json.dumps(mutated_json(json.loads(data), rng)).encode("utf-8", errors="replace")
    except (ValueError, RecursionError):
        return mutated_bytes(data, rng)


def mutated_text(text: str, rng: Random) -> str:
    """A text with pieces cut, doubled, swapped, or odd ones put in."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.randint(0, 6))
        match rng.randrange(4):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + text[at:end] * rng.choice((2, 3, 200)) + text[end:]
            case 2:
                text = (
                    text[:at] + rng.choice((*ODD_TEXTS, *map(str, ODD_NUMBERS), *":=,;/.x><[]()'\"\t\n ")) + text[end:]
                )
            case _:
                text = text[:at] + chr(rng.choice((0, 9, 34, 39, 44, 127, 160, 8232, 65279, 128512))) + text[at:]
    return text
