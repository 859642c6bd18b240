"""Files of a run directory beside its checkpoints: ``run.json`` and the curves in ``metrics.jsonl``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interp._util import wrong_files
from interp._util.files import leads_out, no_follow, not_followed, refuse_link, refuse_links
from interp._util.schema import WHOLE, described, fits, parse_json, short
from interp.checkpoints.layouts.config_fields import usable_config
from interp.errors import UnreadableFile

RUN_FORMAT = 2  # of the run directory; raised when an older version could not read it
SEEDS_APART = 1  # the format in which a member's seed did not reach its data
RECORDED = "recorded"  # in run.json: written by interp.record, which has no plan
RUN_FILES = ("run.json", "metrics.jsonl", "state", "checkpoints", "shards", "start.safetensors")
CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
RUN = {
    "name": str,
    "task": dict[str, Any],
    "model": dict[str, Any],
    "members": list[dict[str, Any]],
    "config": dict[str, Any],
}  # what loading uses
NUMBER, SCALAR = float | None, float | str | bool | None
ROW = {"step": int, "member": int, **dict.fromkeys((*CURVES, "weight_norm"), NUMBER)}
LINE = 1 << 20  # characters; a row of ours has two hundred
JSON_BYTES = 256 << 20  # a run.json of a million members has a hundred
Points = dict[str, list[tuple[int, float]]]
WHOLE_NUMBER = r"(0|[1-9]\d{0,14})"
# a line as it is written: what fits needs no look of a schema
PLAIN = re.compile(
    rf'\{{"step": {WHOLE_NUMBER}, "member": {WHOLE_NUMBER}'
    r'((?:, "\w+": (?:null|-?(?:0|[1-9]\d{0,14})(?:\.\d{1,20})?(?:e[-+]\d\d)?))*\}\n)',
    re.ASCII,
)


def read_run(folder: Path) -> dict[str, Any]:
    """What ``run.json`` holds, after a look at what else is in the folder of the run.

    Args:
        folder: of the run; it may be a link, what is inside may not.

    Returns:
        its fields.

    Raises:
        UnreadableFile: a link, pipe or device among the files of the run; a ``run.json`` that cannot be read.
    """
    refuse_links(folder, RUN_FILES)
    run = read_json(folder / "run.json")
    wrong = [name for name, kind in RUN.items() if name in run and not fits(run[name], kind)]
    if wrong and "format" in run:  # another program's run.json may use the names as it likes
        kind, value = described(RUN[wrong[0]]), short(run[wrong[0]])
        raise UnreadableFile(f"{folder / 'run.json'}: {wrong[0]} must be {kind}, got {value}")
    return current({name: value for name, value in run.items() if name not in wrong})


def current(run: dict[str, Any]) -> dict[str, Any]:
    """A run as this version writes it: the same run, where an older version wrote it.

    In format 1 a member's ``seed`` seeded its initial weights and the order of its batches; its data had ``data_seed``, or the
    seed of the run's task. Now ``seed`` is the data's, too, so the latter is written out.

    Args:
        run: what ``run.json`` holds.

    Returns:
        its fields, with the present format; another run than ours, or one of a later version, as it is.
    """
    members, task = run.get("members"), run.get("task")
    if run.get("format") != SEEDS_APART:
        return run
    if isinstance(members, list) and all(isinstance(m, dict) for m in members):
        of_task = task.get("seed", 0) if isinstance(task, dict) else 0
        run = {**run, "members": [_with_data_seed(m, of_task) for m in members]}
    return {**run, "format": RUN_FORMAT}


def _with_data_seed(member: dict[str, Any], of_task: Any) -> dict[str, Any]:
    """A member whose ``seed`` is that of everything; ``data_seed`` stands beside it only where it is another one."""
    if "seed" not in member:
        return member
    data = member.get("data_seed", of_task)
    own = {name: value for name, value in member.items() if name != "data_seed"}
    return own if data == member["seed"] else {**own, "data_seed": data}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: of the file.

    Returns:
        Its fields.

    Raises:
        UnreadableFile: damaged, or not an object.
    """
    try:
        if path.stat().st_size > JSON_BYTES:
            raise UnreadableFile(f"{path} is larger than {JSON_BYTES >> 20} MB, so it is not read; remove it")
        value = parse_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path} is not JSON: {error}; write it again, or remove it") from None
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from None
    except UnreadableFile as error:
        wrong_files.refuse(path)
        text = f"{path} is {error}; write it again, or remove it"
        raise (error if str(path) in str(error) else UnreadableFile(text)) from None
    if not isinstance(value, dict):
        raise UnreadableFile(f"{path} holds a JSON {type(value).__name__}, expected an object")
    return value


def read_config(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A training config beside a checkpoint, which is good without it.

    Args:
        path: of a JSON file.

    Returns:
        its fields, without those that are of another kind than `CONFIG` says; and a note on what was left out.
    """
    if leads_out(path):
        return {}, (f"the config beside the checkpoint was ignored: {not_followed([path])}",)
    try:
        config = read_json(path)
    except UnreadableFile as error:
        return {}, (f"the config beside the checkpoint was ignored: {error}",)
    return usable_config(config, path.name)


def read_curves(path: Path, member: int) -> Points:
    """The curves of one member in a run's ``metrics.jsonl``.

    Args:
        path: of the file; it need not exist.
        member: index of the network.

    Returns:
        (step, value) points by name.

    Raises:
        UnreadableFile: a damaged line, which is named.
    """
    curves: Points = {}
    own = _rows_of(path, member)
    for row in read_rows(path) if own is None else own:
        if row["member"] == member:
            for name in CURVES:
                if row.get(name) is not None:
                    curves.setdefault(name, []).append((row["step"], float(row[name])))
    return curves


def _rows_of(path: Path, member: int) -> list[dict[str, Any]] | None:
    """The rows of one member, found by a search of the text; None where some line is of another form than we write."""
    refuse_link(path)
    if not path.is_file():
        return None
    rows, before = [], 0
    with open(path, "rb", opener=no_follow) as file:
        while chunk := file.read(LINE):
            chunk += file.readline(LINE)
            lines = chunk.count(b"\n")
            whole = chunk.startswith(b'{"step": ') and chunk.endswith(b"}\n")
            if not whole or chunk.count(b'}\n{"step": ') != lines - 1 or chunk.count(b', "member": ') != lines:
                return None
            number, counted = before, 0
            for found in re.finditer(rb', "member": %d[,}]' % member, chunk):
                start, end = chunk.rfind(b"\n", 0, found.start()) + 1, chunk.find(b"\n", found.end()) + 1
                number, counted = number + chunk.count(b"\n", counted, end), end
                rows.append(_row(path, number, chunk[start:end].decode("utf-8", "replace")))
            before += lines
    return rows


def read_scalars(path: Path) -> Points:
    """Everything that a recorded run measured: all numbers, under the names of its loop.

    Args:
        path: of its ``metrics.jsonl``; it need not exist.

    Returns:
        (step, value) points by name.

    Raises:
        UnreadableFile: a damaged line, which is named.
    """
    curves: Points = {}
    for row in read_rows(path):
        for name, value in row.items():
            if name not in ("step", "member") and isinstance(value, (int, float)):
                curves.setdefault(name, []).append((row["step"], float(value)))
    return curves


def read_rows(path: Path, whole: bool = False) -> Iterator[dict[str, Any]]:
    """The rows of ``metrics.jsonl``, each checked.

    Args:
        path: of the file; it need not exist.
        whole: a last line without an end is an error; otherwise it is left out: a run is writing it, or was killed then.

    Yields:
        ``step``, ``member`` (0 where the row has none), and what was measured.

    Raises:
        UnreadableFile: a link, or a line that is not a row; the message has its number, and the field that does not fit.
    """
    for number, line in _lines(path):
        if not line.endswith("\n") and len(line) < LINE and not whole:
            return
        yield _row(path, number, line)


def read_lines(path: Path) -> Iterator[re.Match[str] | dict[str, Any]]:
    """The rows of a ``metrics.jsonl`` that nobody writes any more, in a fifth of the time where their values do not matter.

    Args:
        path: of the file; it need not exist.

    Yields:
        of a line as we write it the match of `PLAIN`: step, member, and the rest of the line; of any other the row.

    Raises:
        UnreadableFile: as `read_rows` with ``whole``.
    """
    for number, line in _lines(path):
        yield PLAIN.fullmatch(line) or _row(path, number, line)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    refuse_link(path)
    if path.is_file():
        with open(path, encoding="utf-8", errors="replace", opener=no_follow) as file:
            yield from enumerate(iter(lambda: file.readline(LINE), ""), start=1)


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = parse_json(line)
        if not isinstance(row, dict):
            raise UnreadableFile(f"not an object but {short(row)}")
        row.setdefault("member", 0)
        if _usual(row):
            return row
        for name, kind in {
            **dict.fromkeys(row, SCALAR),
            "step": int,
            **{n: k for n, k in ROW.items() if n in row},
        }.items():
            if not fits(row.get(name), kind) or (kind is int and row[name] < 0):
                raise UnreadableFile(f"{name} must be {described(kind)}, got {short(row.get(name))}")
    except UnreadableFile as error:
        wrong_files.refuse(path)
        raise UnreadableFile(
            f"{path} is damaged in line {number}: {error}; correct that line, or cut the file off before it"
        ) from None
    return row


def _usual(row: dict[str, Any]) -> bool:
    """Whether a row is plainly in order; in a tenth of the time that the schema takes, which says what is not."""
    counted = type(row.get("step")) is type(row["member"]) is int
    return counted and all(
        (type(v) is float and math.isfinite(v)) or (type(v) is int and 0 <= v < WHOLE) for v in row.values()
    )


def points(curves: Mapping[str, list[float]], step: int) -> Points:
    """Give recorded lists their steps: the longest has one value a step, shorter ones were recorded at intervals.

    Args:
        curves: the values by name.
        step: of the curves with a single value.

    Returns:
        (step, value) points by name.
    """
    longest = max((len(values) for values in curves.values()), default=0)
    placed: Points = {}
    for name, values in curves.items():
        if len(values) == 1:
            placed[name] = [(step, values[0])]
            continue
        interval = -(-longest // len(values))
        placed[name] = [(i * interval, v) for i, v in enumerate(values)]
    return placed
