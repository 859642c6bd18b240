"""Name maps: a TOML file that says which tensor of a file is which of a layout's, and how its axes are arranged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from einops import EinopsError, rearrange
from torch import Tensor
from typing_extensions import override

from interp._util.toml_text import parse_toml
from interp.checkpoints.formats.tensors import TensorRef
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.checkpoints.layouts.config_fields import usable_config
from interp.errors import InterpError, UnknownLayout, UnknownName, in_file, unknown

MAX_BYTES = 1 << 20
SECTIONS = ("layout", "options", "config", "names")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Rule:
    """One line of a map.

    Attributes:
        ours: the layout's name, with placeholders such as ``{l}`` for numbers.
        theirs: the file's name; a placeholder that ``ours`` lacks stacks its tensors on a new first axis.
        pattern: of `einops.rearrange`; None leaves the axes as they are.
        sizes: lengths of axes in the pattern.
    """

    ours: str
    theirs: str
    pattern: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    def apply(self, weights: Weights) -> dict[str, tuple[TensorRef, list[str]]]:
        """The tensors under the layout's names, each with the names that it is made of.

        Args:
            weights: of the file.

        Returns:
            By the layout's name.

        Raises:
            UnknownName: no tensor has such a name.
            InterpError: the pattern does not fit the tensor's axes.
        """
        expression = re.escape(self.theirs)
        for name in dict.fromkeys(PLACEHOLDER.findall(self.theirs)):
            expression = expression.replace(re.escape(f"{{{name}}}"), rf"(?P<{name}>\d{{1,18}})", 1)
            expression = expression.replace(re.escape(f"{{{name}}}"), rf"(?P={name})")
        groups: dict[str, list[tuple[tuple[int, ...], str]]] = {}
        for name in weights:
            if found := re.fullmatch(expression, name):
                numbers = found.groupdict()
                target = PLACEHOLDER.sub(lambda m, numbers=numbers: numbers.get(m.group(1), m.group(0)), self.ours)
                groups.setdefault(target, []).append((tuple(int(n) for n in numbers.values()), name))
        if not groups:
            raise UnknownName(unknown("tensor", self.theirs, weights))
        stacked = set(PLACEHOLDER.findall(self.theirs)) - set(PLACEHOLDER.findall(self.ours))
        return {t: self._arranged(weights, [n for _, n in sorted(names)], bool(stacked)) for t, names in groups.items()}

    def _arranged(self, weights: Weights, names: list[str], stacked: bool) -> tuple[TensorRef, list[str]]:
        refs = [weights[n] for n in names]

        def load() -> Tensor:
            return self._arrange([r.load() for r in refs], stacked)

        try:
            shape = self._arrange([torch.empty(r.shape, device="meta") for r in refs], stacked).shape
        except (
            EinopsError,
            RuntimeError,
            ValueError,
            TypeError,
        ) as error:  # einops raises all of them for odd patterns
            shapes = " ".join(str(list(r.shape)) for r in refs[:3])
            raise InterpError(
                f"{self.ours}: {self.pattern!r} does not fit {names[0]} {shapes}: {str(error).splitlines()[-1]}"
            ) from None
        return TensorRef(tuple(shape), refs[0].dtype, refs[0].device, load), names

    def _arrange(self, tensors: Sequence[Tensor], stacked: bool) -> Tensor:
        tensor = torch.stack(list(tensors)) if stacked else tensors[0]
        return tensor if self.pattern is None else rearrange(tensor, self.pattern, **self.sizes)


@dataclass(frozen=True)
class NameMap:
    """What a TOML file says.

    Attributes:
        path: of the file.
        layout: whose names the tensors get.
        options: of that layout.
        config: what the weights do not say, as a config beside them would.
        rules: one a tensor or family of tensors.
    """

    path: Path
    layout: str
    options: Mapping[str, Any]
    config: Mapping[str, Any]
    rules: tuple[Rule, ...]


def read_name_map(path: Path) -> NameMap:
    """Read a map.

    Args:
        path: of a TOML file with ``layout``, ``[options]``, ``[config]`` and ``[names]``; see docs/how_to/own_checkpoint.md.

    Returns:
        The map, its rules checked for form; names are looked up when it is applied.

    Raises:
        UnknownName: an entry that no map has.
        InterpError: missing, not TOML, or an entry of another form.
    """
    with in_file(path):
        try:
            if path.stat().st_size > MAX_BYTES:
                raise InterpError(f"a name map of more than {MAX_BYTES:,} bytes is refused")
            given = parse_toml(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InterpError(f"cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise InterpError("not UTF-8 text; a name map is TOML") from None
        for name in given:
            if name not in SECTIONS:
                raise UnknownName(unknown("entry of a name map", name, SECTIONS))
        if not isinstance(given.get("layout"), str):
            raise InterpError('layout is missing: write layout = "linear_chain" or another of interp layout list')
        sections = {name: given.get(name, {}) for name in SECTIONS[1:]}
        for name, value in sections.items():
            if not isinstance(value, dict):
                raise InterpError(f"[{name}] must be a table")
        if ignored := usable_config(sections["config"], "[config]")[1]:
            raise InterpError(ignored[0].replace(" was ignored: it", ""))
        if not sections["names"]:
            raise InterpError('[names] is empty: write "name of the layout\'s" = "name in the file"')
        rules = tuple(_rule(ours, value) for ours, value in sections["names"].items())
        return NameMap(path, given["layout"], sections["options"], sections["config"], rules)


def _rule(ours: str, value: Any) -> Rule:
    rule = _as_written(ours, value)
    for name in PLACEHOLDER.findall(f"{ours} {rule.theirs}"):
        if not name.isidentifier():
            raise InterpError(f"[names] {ours!r}: {{{name}}} is not a name for a number; write a letter, such as {{l}}")
    return rule


def _as_written(ours: str, value: Any) -> Rule:
    if isinstance(value, str):
        return Rule(ours, value)
    form = '"name", or { from = "name", as = "a b -> b a" } with lengths of axes'
    if not isinstance(value, dict) or not isinstance(value.get("from"), str):
        raise InterpError(f"[names] {ours!r}: write {form}")
    pattern, sizes = value.get("as"), {k: v for k, v in value.items() if k not in ("from", "as")}
    if not isinstance(pattern, str | None) or not all(isinstance(v, int) and v > 0 for v in sizes.values()):
        raise InterpError(f"[names] {ours!r}: write {form}, the lengths as whole numbers")
    return Rule(ours, value["from"], pattern, sizes)


class MappedLayout(Layout):
    """A layout behind a name map: the tensors are renamed and rearranged, then read as that layout's.

    Args:
        given: the map.
        inner: the layout that it names.
    """

    def __init__(self, given: NameMap, inner: Layout):
        self._map, self._inner = given, inner
        self.name, self.summary = f"{inner.name} by {given.path.name}", inner.summary  # pyright: ignore[reportAttributeAccessIssue]

    def _renamed(self, weights: Weights) -> tuple[dict[str, TensorRef], list[str]]:
        """The tensors under the layout's names, and the names of those that the map leaves out."""
        found: dict[str, TensorRef] = {}
        used: set[str] = set()
        with in_file(self._map.path):
            for rule in self._map.rules:
                for name, (tensor, sources) in rule.apply(weights).items():
                    if name in found:
                        raise InterpError(f"[names] gives {name!r} twice")
                    found[name] = tensor
                    used.update(sources)
        return found, [n for n in weights if n not in used]

    def _info(self, info: FileInfo) -> FileInfo:
        return replace(info, config={**info.config, **self._map.config}, ordered=True)

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        return self._inner.fits_by_hand(self._renamed(weights)[0], self._info(info), self._map.options)

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        renamed, left = self._renamed(weights)
        converted = self._inner.convert(renamed, self._info(info), {**self._map.options, **options})
        warnings = [f"{name} is in no line of {self._map.path.name}, so it was left out" for name in left]
        return replace(converted, extra=(*converted.extra, *left), warnings=(*converted.warnings, *warnings))


def mapped(path: Path, layouts: Mapping[str, Layout]) -> MappedLayout:
    """The layout that a map and the layout that it names make.

    Args:
        path: of the map.
        layouts: by name.

    Returns:
        The layout.

    Raises:
        UnknownLayout: the map names a layout that is not known.
        UnknownName: it names an option that the layout has not.
        InterpError: as in `read_name_map`.
    """
    given = read_name_map(path)
    with in_file(path):
        if given.layout not in layouts:
            raise UnknownLayout(unknown("layout", given.layout, layouts))
        inner = layouts[given.layout]
        for option in given.options:
            if option not in inner.options:
                raise UnknownName(unknown(f"option of layout {given.layout}", option, inner.options))
    return MappedLayout(given, inner)
