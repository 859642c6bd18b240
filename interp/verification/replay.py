"""`verify`: every fact of some collections, computed again and compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import torch

from interp._util.bar import with_bar
from interp._util.counted import counted
from interp._util.files import is_file, is_folder
from interp._util.progress_context import begin, log
from interp.errors import InterpError, UnknownName, unknown
from interp.plugins.options import as_names
from interp.tasks import GIVE_A_TASK
from interp.verification.elsewhere import Elsewhere
from interp.verification.facts import Collection, Fact, read_facts
from interp.verification.folder import Absent, inside, layout_inside, matching, spec_inside
from interp.verification.material import Material
from interp.verification.result import Row, Verification
from interp.verification.shipped import CLAIMS, DEMO, DEMO_FILES, find_root, present, shipped
from interp.verification.shown import one_line
from interp.verification.verdict import Verdict, judge

A_TASK = 'such as task = "modular:p=113" in the claim, or for all claims about the file under [files."{file}"]'
LONG = 60.0  # seconds from which a fact is left out unless asked for

Placed = tuple[Collection, Path]


@with_bar
def verify(
    folder: str | Path | None = None, claims: str | Path | None = None, *, only: str | Iterable[str] | None = None,
    slow: bool = False, progress: Callable[[str], None] | bool | None = None,
) -> Verification:  # fmt: skip
    """Replay published numbers against published files: each is computed again, and agrees or not.

    A file of claims says what was published, about which file, and how it is computed; it is data, and nothing in it is run.

    Args:
        folder: with the files. Without it, the demo run that ships is verified.
        claims: a TOML file of claims about them; by default ``claims.toml`` in the folder, or, where there is none, the
            facts that ship about the collections whose files are in the folder or below it.
        only: names of claims or collections, or globs; all.
        slow: also those that take more than a minute.
        progress: called with the name of each claim before it is replayed; by default a notebook shows a bar.

    Returns:
        a row per claim: agrees, disagrees, or cannot be replayed, with the difference in tolerances.

    Raises:
        UnknownName: ``only`` names a claim that is not there.
        InterpError: no such folder, a file of claims that cannot be read, a path that leads out of the folder, or a folder
            without claims and without files of the collections that ship; or nothing is left to replay.
    """
    started = time.perf_counter()
    placed, notes, quiet = _collections(folder, claims)
    chosen = [(c, root, [f for f in c.facts if not quiet or present(f, root)]) for c, root in placed]
    absent = sum(len(c.facts) for c, _ in placed) - sum(len(facts) for _, _, facts in chosen)
    if absent:
        notes.append(f"not in the folder: the files of {counted(absent, 'fact')}, which were left out")
    if only is not None:
        chosen = _chosen(chosen, only)
    long = [f for _, _, facts in chosen for f in facts if f.seconds > LONG and not slow]
    if long:
        names = ", ".join(f.name for f in long[:5]) + (f" and {len(long) - 5:,} more" if len(long) > 5 else "")
        notes.append(f"left out, since they take minutes: {names}; --slow (slow=True) runs them")
    chosen = [(c, root, [f for f in facts if slow or f.seconds <= LONG]) for c, root, facts in chosen]
    if not any(facts for _, _, facts in chosen):
        raise InterpError(f"nothing is left to replay: {'; '.join(notes) or 'only names no claim'}")
    for collection, root, facts in chosen:
        _refuse_ways_out(collection, root, facts)
    rows, total, done = [], sum(len(facts) for _, _, facts in chosen), 0
    for collection, root, facts in filter(lambda one: one[2], chosen):
        log.info("%s: %s", one_line(collection.title), counted(len(facts), "fact"))
        rows += _replay(collection, root, facts, done, total, progress if callable(progress) else None)
        done += len(facts)
    return Verification(rows, notes, time.perf_counter() - started)


def _collections(folder: str | Path | None, claims: str | Path | None) -> tuple[list[Placed], list[str], bool]:
    """What is to be verified and where, notes on what was not found, and whether missing files are left out."""
    for name, value in (("folder", folder), ("claims", claims)):
        if value is not None and not isinstance(value, (str, Path)):
            raise InterpError(
                f"{name} must be a path, got {type(value).__name__}: interp.verify('data', 'claims.toml')"
            )
    if folder is None:
        if claims is not None:
            raise InterpError(
                "claims are about the files of a folder: name that, too: interp verify FOLDER --claims "
                f"{quote(str(claims))}, in Python interp.verify('FOLDER', {str(claims)!r})"
            )
        return [(read_facts(DEMO), DEMO_FILES)], [], False
    root = Path(folder)
    if is_file(root):
        given = f" --claims {quote(str(root))}" if root.suffix.lower() == ".toml" and root.name != CLAIMS else ""
        raise InterpError(
            f"{root} is a file; name the folder of the published files: interp verify {quote(str(root.parent))}{given}"
        )
    if not is_folder(root):
        raise InterpError(f"{root} is not a folder; name the folder with the published files")
    if claims is None and is_file(root / CLAIMS):
        claims = inside(root, CLAIMS)
    if claims is not None:
        if not is_file(Path(claims)) and is_file(root / claims):
            raise InterpError(
                f"no {claims} here, but in the folder: give --claims {quote(str(root / claims))} (claims= in Python)"
            )
        return [(read_facts(claims), root)], [], False
    found = [(collection, find_root(collection, root)) for collection in shipped()]
    placed = [(collection, place) for collection, place in found if place is not None]
    missing = [collection.title for collection, place in found if place is None]
    if not placed:
        found_there = filter(is_file, [*root.glob("*.[tT][oO][mM][lL]"), *root.glob("*/*.toml")])
        others = [quote(str(path)) for path in sorted(found_there)[:3]]
        raise InterpError(
            f"{root} holds no {CLAIMS}, and no files of the collections that ship ({'; '.join(missing)}): give a file of claims, "
            f"--claims {' or '.join(others) or 'FILE'} (claims= in Python)"
        )
    return placed, [f"not in {root}: {'; '.join(missing)}"] if missing else [], True


def _chosen(
    placed: Sequence[tuple[Collection, Path, list[Fact]]], only: str | Iterable[str]
) -> list[tuple[Collection, Path, list[Fact]]]:
    known = [name for c, _, facts in placed for name in (c.path.stem, c.title, *(f.name for f in facts))]
    patterns = (
        [only] if isinstance(only, str) and only in known else [str(name) for name in as_names(only, "claims")]
    )  # titles hold commas

    def is_meant(name: str, pattern: str) -> bool:
        return name == pattern or fnmatchcase(name, pattern)

    for pattern in patterns:
        if not any(is_meant(name, pattern) for name in known):
            raise UnknownName(unknown("claim or collection", pattern, known))

    def wanted(name: str) -> bool:
        return any(is_meant(name, pattern) for pattern in patterns)

    whole = {id(c) for c, _, _ in placed if wanted(c.path.stem) or wanted(c.title)}
    return [(c, root, [f for f in facts if id(c) in whole or wanted(f.name)]) for c, root, facts in placed]


def _refuse_ways_out(collection: Collection, root: Path, facts: Iterable[Fact]) -> None:
    """Refuse links and paths out of the folder before anything is opened."""
    for fact in facts:
        asked: list[Callable[[], object]] = [partial(inside, root, file) for file in fact.files]
        if fact.is_glob:
            asked.append(partial(matching, root, fact.file))
        for how in (fact.how, *(collection.files.get(file, {}) for file in fact.files)):
            if "task" in how:
                asked.append(partial(spec_inside, root, how["task"], "task"))
            if "layout" in how:
                asked.append(partial(layout_inside, root, how["layout"]))
        if "trains_on" in fact.options:
            asked.append(partial(spec_inside, root, fact.options["trains_on"], "trains_on"))
        for check in asked:
            try:
                check()
            except Absent:  # no way out; the claim cannot be replayed, and says so
                continue
            except InterpError as error:
                raise InterpError(f"{collection.path}: claims.{fact.name}: {error}") from None


def _replay(
    collection: Collection, root: Path, facts: Sequence[Fact], done: int, total: int, tell: Callable[[str], None] | None
) -> list[Row]:
    """All facts, file by file, so that each file is opened once and let go; rows in the order of the facts."""
    verdicts: dict[str, Verdict] = {}
    groups: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        groups.setdefault((fact.file, repr(sorted(fact.how.items()))), []).append(fact)
    for (file, _), own in groups.items():
        material = Material(root, file, own[0].how, collection.files)
        for fact in own:
            done += 1
            begin(f"{collection.path.stem}: {fact.name}", done, total)
            if tell is not None:
                tell(fact.name)
            verdicts[fact.name] = verdict = _verdict(fact, material)
            log.debug("%s: %s (%.2f s)", fact.name, verdict.agreement, verdict.seconds)
    return [Row(collection, fact, verdicts[fact.name]) for fact in facts]


def _verdict(fact: Fact, material: Material) -> Verdict:
    started, published = time.perf_counter(), fact.published
    try:
        if isinstance(published, Elsewhere):
            published = published.read(material.other(published.file))
        found = plain_value(fact.quantity.function(material, **fact.options))
        verdict = judge(published, found, fact.tolerance, fact.any_order)
    except InterpError as error:
        said = " ".join(str(error).split()).replace(GIVE_A_TASK, A_TASK.format(file=fact.file))
        verdict = Verdict("cannot be replayed", published, reason=said)
    except Exception as error:  # a stranger's quantity may raise anything; it is reported, the others are replayed
        verdict = Verdict(
            "cannot be replayed", published, reason=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        )
    return Verdict(**{**vars(verdict), "seconds": time.perf_counter() - started})


def plain_value(value: Any) -> Any:
    """A quantity's value without numpy and torch: numbers, texts, truth values, lists and tables of these.

    Args:
        value: that a quantity returned.

    Returns:
        the value.

    Raises:
        InterpError: something else.
    """
    if value is None:
        raise InterpError("the quantity has no value here")
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        return plain_value(value.tolist())
    if isinstance(value, dict):
        return {str(name): plain_value(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(one) for one in value]
    if not isinstance(value, (str, bool, int, float)):
        raise InterpError(
            f"the quantity returned a {type(value).__name__}; it must return a number, text, a list or a table"
        )
    return value
