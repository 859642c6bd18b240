"""A Result as JSON and back, for the results that an interrupted report keeps: nothing in it is code, and all is checked."""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image, UnidentifiedImageError

from interp._util.schema import parse_json, require_fields
from interp.errors import InterpError, UnreadableFile
from interp.pictures import Picture
from interp.plugins.result import Result, check_result

FORMAT = 1
PIXELS = 1 << 26  # of a picture that is read back
DTYPES = {
    "bool", "boolean", "object", "str", "string", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "Int64", "float16", "float32", "float64", "Float64",
}  # fmt: skip
BINARY = {"i1", "i2", "i4", "u1", "u2", "u4", "f4", "f8"}  # dtypes of plotly's binary arrays


class Unstorable(TypeError):
    """A value that JSON does not give back as it was."""


def to_json(result: Result) -> str:
    """A Result as text.

    Args:
        result: of an analysis.

    Returns:
        JSON, with NaN and infinities as Python writes them.

    Raises:
        Unstorable: something in it that would not come back as it was; such a result is computed again.
    """
    data = {one.name: _encoded(one.name, getattr(result, one.name)) for one in fields(result)}
    return json.dumps({"interp_result": FORMAT, "result": data})


def from_json(text: str) -> Result:
    """The Result that `to_json` wrote.

    Args:
        text: of a file that anybody may have changed.

    Returns:
        the Result.

    Raises:
        UnreadableFile: not such a text, or one with another content than a Result can have.
    """
    data = parse_json(text)
    if not isinstance(data, dict) or data.get("interp_result") != FORMAT or not isinstance(data.get("result"), dict):
        raise UnreadableFile("not a stored result of this version")
    stored, hints = data["result"], get_type_hints(Result)
    if set(stored) != set(hints):
        raise UnreadableFile("not the fields of a result of this version")
    try:
        values = {name: _decoded(name, value, hints[name]) for name, value in stored.items()}
        require_fields(Result, values)
        result = Result(**values)
        check_result(result)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, OSError) as error:
        raise UnreadableFile(f"not a stored result: {error}") from None
    return result


def _encoded(name: str, value: Any) -> Any:
    encode = {"tables": _frame, "figures": _figure, "pictures": _picture}.get(name)
    if encode is not None:
        return {_text(label): encode(item) for label, item in value.items()}
    if isinstance(value, list) and value and all(is_dataclass(item) for item in value):
        return [plain(asdict(item)) for item in value]
    return plain(value)


def _decoded(name: str, value: Any, hint: Any) -> Any:
    decode = {"tables": _as_frame, "figures": _as_figure, "pictures": _as_picture}.get(name)
    if decode is not None:
        return {label: decode(item) for label, item in value.items()}
    kind = get_args(hint)[0] if get_origin(hint) is list else None
    if isinstance(kind, type) and is_dataclass(kind):
        return [_as_dataclass(kind, item) for item in value]
    return [tuple(line) for line in value] if name == "verdict" else value


def _as_dataclass(kind: Callable[..., Any], item: Mapping[str, Any]) -> Any:
    """A frozen dataclass of plain values, such as a claim; tuples come back as tuples."""
    require_fields(kind, item)
    return kind(**{name: _tuples(value) for name, value in item.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """A value as JSON holds it.

    Args:
        value: numbers, texts, None, and lists and dictionaries of them.

    Returns:
        the same with numpy's numbers unwrapped and tuples as lists.

    Raises:
        Unstorable: anything else.

    >>> plain({"a": (1, np.float32(0.5), None)})
    {'a': [1, 0.5, None]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    raise Unstorable(f"a {type(value).__name__}")


def _text(key: Any) -> str:
    if not isinstance(key, str):
        raise Unstorable(f"the name {key!r}")
    return key


def _frame(table: pd.DataFrame) -> dict[str, Any]:
    """The columns and their dtypes. The index is left out, as in a report, and so is the class of a DataFrame of ours."""
    columns = [table.iloc[:, i] for i in range(table.shape[1])]
    if table.columns.nlevels > 1 or table.columns.name is not None:
        raise Unstorable("a table with names above its columns")
    return {
        "columns": [_text(name) for name in table.columns],
        "rows": len(table),
        "dtypes": [_known(str(column.dtype)) for column in columns],
        "values": [[_cell(v) for v in column.tolist()] for column in columns],
    }


def _known(dtype: str) -> str:
    if dtype not in DTYPES:
        raise Unstorable(f"a column of {dtype}")
    return dtype


def _cell(value: Any) -> Any:
    """One cell; lists are refused, since tuples would come back as lists."""
    if value is pd.NA:
        return None
    if isinstance(value, (list, tuple, Mapping)):
        raise Unstorable(f"a {type(value).__name__} in a table")
    return plain(value)


def _as_frame(data: Mapping[str, Any]) -> pd.DataFrame:
    names, dtypes, values = data["columns"], data["dtypes"], data["values"]
    if not all(isinstance(part, list) and len(part) == len(names) for part in (names, dtypes, values)):
        raise ValueError("a table's columns do not match")
    for dtype in dtypes:
        _known(dtype)
    if not all(isinstance(column, list) and len(column) == data["rows"] for column in values):
        raise ValueError("a table's columns differ in length")
    parts = [pd.Series(column, dtype=dtype) for column, dtype in zip(values, dtypes, strict=True)]
    table = pd.DataFrame(dict(enumerate(parts)), index=pd.RangeIndex(data["rows"]))
    table.columns = pd.Index([_text(name) for name in names], dtype=object if not names else None)
    return table


def _figure(figure: go.Figure) -> Any:
    return json.loads(figure.to_json() or "{}")


def _as_figure(data: Any) -> go.Figure:
    return go.Figure(_arrays(data))


def _arrays(value: Any) -> Any:
    """The same with plotly's binary arrays, ``{"dtype", "bdata", "shape"}``, as arrays."""
    if isinstance(value, list):
        return [_arrays(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not {"dtype", "bdata"} <= set(value):
        return {key: _arrays(item) for key, item in value.items()}
    if value["dtype"] not in BINARY:
        raise ValueError(f"an array of {value['dtype']!r}")
    flat = np.frombuffer(base64.b64decode(value["bdata"], validate=True), dtype=np.dtype(value["dtype"]))
    shape = [int(n) for n in str(value.get("shape", len(flat))).split(",")]
    return flat.reshape(shape)


def _picture(picture: Picture) -> str:
    return base64.b64encode(picture.png()).decode("ascii")


def _as_picture(text: str) -> Picture:
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"])
    except (binascii.Error, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UnreadableFile(f"not a PNG: {error}") from None
    if image.width * image.height > PIXELS or image.mode != "RGB":
        raise InterpError(f"a picture of {image.width} x {image.height} pixels in {image.mode}")
    return Picture(np.asarray(image) / 255)  # type: ignore[arg-type]
