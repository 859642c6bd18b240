"""Settings in YAML: plain values only, whatever Python tags a file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from interp._util.files import no_follow
from interp.errors import UnreadableFile

MOST_BYTES = 1 << 16  # settings of a training, not data
MOST_VALUES, DEPTH = 20_000, 40  # aliases can make a small file large


class _Plain(yaml.SafeLoader):
    """Reads tags of Python, which `yaml.safe_load` refuses, as the plain values that stand behind them."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)
    return node.value


_Plain.add_multi_constructor("tag:yaml.org,2002:python/", _untagged)
_Plain.add_multi_constructor("!", _untagged)


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a YAML file. Nothing in it is run, and no class that it names is made.

    Args:
        path: of the file.

    Returns:
        Its fields as plain values; what is not a mapping has none.

    Raises:
        UnreadableFile: a link, no YAML, or more than settings can be.
    """
    try:
        with open(path, encoding="utf-8", errors="replace", opener=no_follow) as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise UnreadableFile(f"{path} is larger than {MOST_BYTES >> 10} KB, so it is not read as settings")
        value = yaml.load(text, _Plain)  # a safe loader
        budget = [MOST_VALUES]
        value = _copied(value, budget, DEPTH)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from None
    except UnreadableFile:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        first = (str(error).splitlines() or [""])[0][:100]
        raise UnreadableFile(f"{path} is not YAML that can be read here: {first or type(error).__name__}") from None
    return value if isinstance(value, dict) else {}


def _copied(value: Any, budget: list[int], depth: int) -> Any:
    """A value with its aliases written out, if they are few."""
    budget[0] -= 1
    if budget[0] < 0 or depth < 0:
        raise ValueError("too many values, or too deep")
    if isinstance(value, dict):
        return {str(k): _copied(v, budget, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_copied(v, budget, depth - 1) for v in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
