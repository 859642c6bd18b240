"""Arrays that a user gives, or names a file of: indices of a split, target vectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interp._util.files import is_file
from interp._util.schema import parse_json
from interp.checkpoints.formats.reading import read
from interp.checkpoints.formats.tensors import TensorRef
from interp.checkpoints.run_files import JSON_BYTES
from interp.errors import InterpError, UnknownName, UnreadableFile, in_file, unknown
from interp.tasks.given import as_array

USUAL = {
    "train_indices": re.compile(r"train(ing)?(_?(indices|idxs?|inds|ids))?", re.IGNORECASE),
    "test_indices": re.compile(r"(test|val(id(ation)?)?)(_?(indices|idxs?|inds|ids))?", re.IGNORECASE),
    "targets": re.compile(r"(targets?|vectors?|y_templates)", re.IGNORECASE),
}  # of arrays in a file of several
TEXT = (".json", ".txt", ".csv")


def read_array(given: Any, name: str) -> Any:
    """The numbers that a user gives, or those in a file.

    Args:
        given: a list, array or tensor; or the path of an npz, npy, torch or other file of tensors, perhaps with ``@NAME`` of
            one of its arrays, of a JSON list, or of a text of numbers.
        name: of the setting: among several arrays, one of its usual names is taken.

    Returns:
        numbers.

    Raises:
        UnknownName: no array of the name that was asked for.
        InterpError: a file that cannot be read, or several arrays of which none has a usual name.
    """
    if not isinstance(given, (str, Path)):
        return as_array(given, name)
    path, key = Path(given), None
    if not is_file(path) and "@" in str(given):
        before, _, key = str(given).rpartition("@")
        path = Path(before)
    if path.suffix.lower() in TEXT:
        path = path if key is None else Path(given)  # a text holds one array
        return as_array(_text(path, name), f"{name} in {path}")
    tree = read(path).tree
    arrays = {"array": tree} if isinstance(tree, (TensorRef, list)) else dict(tree) if isinstance(tree, Mapping) else {}
    arrays = {str(n): v for n, v in arrays.items() if isinstance(v, (TensorRef, list, tuple))}
    if key is not None and key not in arrays:
        raise UnknownName(f"{path}: " + unknown("array", key, arrays))
    chosen = [key] if key is not None else [n for n in arrays if USUAL[name].fullmatch(n)] or list(arrays)
    if len(chosen) != 1:
        held = ", ".join(list(arrays)[:10]) or "none"
        raise InterpError(f"{path} holds several arrays that could be {name}, or none ({held}); name one, {path}@NAME")
    value = arrays[chosen[0]]
    return as_array(value.load() if isinstance(value, TensorRef) else value, f"{name} in {path}")


def _text(path: Path, name: str) -> Any:
    if not is_file(path):
        raise UnreadableFile(f"no file at {path}; check the path of {name}")
    with in_file(path):
        if path.stat().st_size > JSON_BYTES:
            raise UnreadableFile(f"is larger than {JSON_BYTES >> 20} MB, so it is not read")
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix.lower() == ".json":
            return parse_json(text)
        rows = [re.split(r"[,;\s]+", line.strip(" ,;\t")) for line in text.splitlines() if line.strip(" ,;\t")]
        try:
            numbers = [[float(cell) if re.search(r"[.eEn]", cell) else int(cell) for cell in row] for row in rows]
        except ValueError as error:
            raise InterpError(f"{name} must be numbers: {error}") from None
    return numbers if name == "targets" else [n for row in numbers for n in row]
