"""The file in which published facts stand: TOML, read strictly, and never run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp._util.schema import fits, short
from interp._util.toml_text import parse_toml
from interp.errors import InterpError, UnreadableFile, in_file, nearest, unknown
from interp.verification.bounds import CONDITIONS, Bounds
from interp.verification.elsewhere import Elsewhere
from interp.verification.fields import as_positive, as_table, as_text, plain, refuse_unknown
from interp.verification.folder import NAME_MAP, check_inside
from interp.verification.quantity import CLAIM, HOW, READ_BY, Quantity, find_quantity
from interp.verification.written import Written

MOST_BYTES, MOST_FACTS, DEEPEST = 1 << 20, 5_000, 3
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
TOP = ("title", "source", "link", "folder", "files", "claims")
SETTINGS = ("settings", "measured_with")  # fields that hold options of a measure, an analysis or a training
MACHINE = ("executor", "cache", "device", "progress", "out")  # settings of the user's machine
TEXTS = ("claim", "file", "quantity", "where", "task", "layout", "key")


@dataclass(frozen=True)
class Tolerance:
    """How far a recomputed number may be from the published one: the larger of both.

    Attributes:
        absolute: in the number's own unit.
        relative: as a share of the published number.
    """

    absolute: float = 0.0
    relative: float = 0.0

    def __str__(self) -> str:
        said = [f"{self.absolute:g}"] if self.absolute or not self.relative else []
        return " or ".join([*said, *([f"{self.relative:g} of it"] if self.relative else [])])


@dataclass(frozen=True)
class Fact:
    """One published statement, and how it is computed again.

    Attributes:
        name: within its collection.
        claim: the statement as a sentence.
        file: what it is about: a path relative to the folder, of a file or a folder; or a glob.
        quantity: what is computed.
        options: of the quantity.
        published: the value as published.
        tolerance: None for the usual one: half of a decimal's last digit, exact for everything else.
        where: the place in the paper.
        how: arguments of `interp.load`: task, layout, key, step, member.
        seconds: how long it takes, about.
        any_order: whether a list may come in another order.
    """

    name: str
    claim: str
    file: str
    quantity: Quantity
    options: Mapping[str, Any]
    published: Any
    tolerance: Tolerance | None = None
    where: str = ""
    how: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    any_order: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that it reads, but those of a glob: its own, the one it is set beside, the authors' number."""
        found = ["" if self.is_glob else self.file, self.options.get("beside") or ""]
        return tuple(filter(None, [*found, self.published.file if isinstance(self.published, Elsewhere) else ""]))

    @property
    def is_glob(self) -> bool:
        """Whether `file` stands for several files."""
        return any(mark in self.file for mark in "*?[")


@dataclass(frozen=True)
class Collection:
    """The facts of one file.

    Attributes:
        title: of the paper or the data.
        source: who published it, in words.
        link: to it.
        folder: what the folder of the files is called, where they are looked for by themselves.
        facts: in the file's order.
        path: of the file.
        files: how `interp.load` is to read a file, by its name.
    """

    title: str
    source: str
    facts: tuple[Fact, ...]
    link: str = ""
    folder: str = ""
    path: Path = field(default_factory=Path)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_facts(path: str | Path) -> Collection:
    """Read a file of facts.

    Args:
        path: of a TOML file.

    Returns:
        its facts, checked.

    Raises:
        UnreadableFile: not there, too large, or not TOML.
        InterpError: a field that is missing, unknown or of the wrong type, a path out of the folder, an unknown quantity; the
            message says where.
    """
    path = Path(path)
    with in_file(path):
        try:
            if (size := path.stat().st_size) > MOST_BYTES:
                raise UnreadableFile(
                    f"it has {size:,} bytes, and may have {MOST_BYTES:,}: split it, or name the right file"
                )
            text = path.read_text("utf-8-sig")  # Notepad begins with a mark
        except OSError as error:
            raise UnreadableFile(f"it cannot be read: {error.strerror or error}; name a file of claims") from None
        except UnicodeDecodeError:
            raise UnreadableFile("it is not UTF-8 text; a file of claims is TOML") from None
        return _collection(parse_toml(text, Written), path)


def _collection(table: Mapping[str, Any], path: Path) -> Collection:
    refuse_unknown(table, TOP, "the top of the file")
    if "title" not in table or "source" not in table:
        raise InterpError(
            f"{'source' if 'title' in table else 'title'} is missing; write title = and source = at the top"
        )
    texts = {name: as_text(table[name], name) for name in ("title", "source", "link", "folder") if name in table}
    if "folder" in texts:
        check_inside(texts["folder"], "folder")
    files = as_table(table.get("files", {}), "files")
    how = {name: _how(as_table(given, f"files.{name}"), f"files.{name!r}") for name, given in files.items()}
    claims = as_table(table.get("claims", {}), "claims")
    if not 0 < len(claims) <= MOST_FACTS:
        raise InterpError(f"it has {len(claims):,} claims, [claims.NAME]; write 1 to {MOST_FACTS:,}")
    facts = tuple(_fact(name, as_table(given, f"claims.{name}"), how) for name, given in claims.items())
    used = {file for fact in facts for file in (fact.file, *fact.files)}
    if unused := [name for name in how if name not in used]:
        raise InterpError(f"files: {unknown('file', unused[0], used)}: no claim is about it")
    return Collection(facts=facts, path=path, files=how, **texts)


def _fact(name: str, given: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> Fact:
    place = f"claims.{name[:80]}"
    if not NAME.fullmatch(name):
        raise InterpError(f"{place}: a name has 1 to 80 letters, digits, _ and -")
    for field_ in ("claim", "file", "quantity"):
        if field_ not in given:
            typo = nearest(field_, [n for n in given if n not in (*CLAIM, *HOW)], 1)
            raise InterpError(f"{place}: {field_} is missing" + (f"; is {typo[0]!r} meant for it?" if typo else ""))
    texts = {n: as_text(given[n], f"{place}: {n}") for n in TEXTS if n in given}
    check_inside(texts["file"], f"{place}: file")
    try:
        quantity = find_quantity(texts["quantity"])
        refuse_unknown(
            given, (*CLAIM, *READ_BY[quantity.reads], *(o.name for o in quantity.options)), f"{place} ({quantity.name})"
        )
        options = quantity.parse({n: plain(v) for n, v in given.items() if n not in (*CLAIM, *HOW)})
        for name_, one in options.items():
            if name_ in SETTINGS and one and (machine := [key for key in MACHINE if key in one]):
                raise InterpError(
                    f"{name_}.{machine[0]}: a claim does not say where or how it is computed; leave it out"
                )
        if isinstance(options.get("beside"), str) and options["beside"]:
            check_inside(options["beside"], f"{place}: beside")
    except InterpError as error:
        raise InterpError(str(error) if str(error).startswith(place) else f"{place}: {error}") from None
    seconds = as_positive(given.get("seconds", 0), f"{place}: seconds, how long it takes,")
    if not isinstance(given.get("any_order", False), bool):
        raise InterpError(f"{place}: any_order must be true or false, got {short(given['any_order'])}")
    if given.get("any_order") and ("within" in given or not isinstance(given.get("published", []), list)):
        what = "within is for one number" if "within" in given else f"{short(given['published'])} was published"
        raise InterpError(f"{place}: any_order is for lists, and {what}")
    own = _how({n: given[n] for n in HOW if n in given}, place)
    return Fact(
        name, texts["claim"], texts["file"], quantity, options, _published(given, place), _tolerance(given, place),
        texts.get("where", ""), {**files.get(texts["file"], {}), **own}, seconds, given.get("any_order", False),
    )  # fmt: skip


def _published(given: Mapping[str, Any], place: str) -> Any:
    if sum(name in given for name in ("published", "published_in", "within")) != 1:
        raise InterpError(
            f"{place}: give published = VALUE, published_in = {{ file = ..., key = ... }} or within = {{ at_least = VALUE }}, "
            "one of the three"
        )
    if "within" in given:
        return _within(as_table(given["within"], f"{place}: within", "{ at_least = 0.99 }"), f"{place}: within")
    if "published" in given:
        _check_value(given["published"], f"{place}: published", DEEPEST)
        return given["published"]
    place = f"{place}: published_in"
    table = as_table(given["published_in"], place)
    refuse_unknown(table, ("file", "key", "column", "row", "header"), place)
    if "file" not in table:
        raise InterpError(f"{place}: file is missing")
    texts = {n: as_text(table[n], f"{place}.{n}") for n in ("file", "key", "column") if n in table}
    check_inside(texts["file"], f"{place}.file")
    row = plain(as_table(table["row"], f"{place}.row", "{ step = 4000 }")) if "row" in table else None
    if not isinstance(table.get("header", True), bool):
        raise InterpError(f"{place}.header must be true or false, got {short(table['header'])}")
    found = Elsewhere(**texts, row=row, header=table.get("header", True))
    if reason := found.unclear:
        raise InterpError(f"{place}: {reason}")
    return found


def _within(table: Mapping[str, Any], place: str) -> Bounds:
    refuse_unknown(table, CONDITIONS, place)
    for name, limit in table.items():
        if not fits(limit, float):
            raise InterpError(f"{place}.{name} must be a finite number, got {short(limit)}")
    found = Bounds(**table)
    if not table or found.empty:
        raise InterpError(
            f"{place}: {f'no number is {found}' if table else 'it is empty'}; write {{ at_least = 0.99 }}"
        )
    return found


def _check_value(value: Any, place: str, deep: int) -> None:
    if isinstance(value, (dict, list)) and deep:
        if not value and isinstance(value, dict):
            raise InterpError(f"{place} is an empty table")
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            _check_value(one, f"{place}.{str(key)[:40]}", deep - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InterpError(f"{place} must be finite, got {value}")
    elif not isinstance(value, (str, bool, int, float)):
        raise InterpError(f"{place} must be a number, a text, true or false, or a list or table of these")


def _tolerance(given: Mapping[str, Any], place: str) -> Tolerance | None:
    if "tolerance" not in given:
        return None
    exact = given.get("published")
    if "within" in given or isinstance(exact, (str, bool)):
        what = "within" if "within" in given else short(exact)
        raise InterpError(f"{place}: a tolerance is for numbers, and {what} has none; leave it out")
    table = as_table(given["tolerance"], f"{place}: tolerance", "{ relative = 1e-3 } or { absolute = 0.005 }")
    refuse_unknown(table, ("absolute", "relative"), f"{place}: tolerance")
    if not table:
        raise InterpError(f"{place}: tolerance is empty; write {{ relative = 1e-3 }} or {{ absolute = 0.005 }}")
    return Tolerance(**{name: as_positive(value, f"{place}: tolerance.{name}") for name, value in table.items()})


def _how(given: Mapping[str, Any], place: str) -> dict[str, Any]:
    refuse_unknown(given, HOW, place)
    for name, value in given.items():
        if name in ("step", "member"):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InterpError(f"{place}: {name} must be a whole number of at least 0, got {short(value)}")
        else:
            as_text(value, f"{place}: {name}")
    if (layout := given.get("layout", "")).endswith(NAME_MAP):
        check_inside(layout, f"{place}: layout")
    return dict(given)
