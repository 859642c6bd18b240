"""RASP-like programs of named variables, each with the plain Python that computes it.

After Weiss et al. 2021 (https://arxiv.org/abs/2106.06981) and Tracr (Lindner et al. 2023, https://arxiv.org/abs/2301.05062).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any, TypeAlias

from interp.errors import InterpError

Value: TypeAlias = Any
Select = Callable[[Value, Value], bool]


@dataclass(frozen=True, eq=False)
class Variable:
    """A value at every position of a sequence. In the residual stream it has a subspace of its own.

    Attributes:
        name: of the variable.
        values: that it can have. A categorical one has a dimension for each; a number has a single one.
        number: whether it is a number.
        made_by: what computes it; None for tokens and positions.
        time: when it is there: 0 for the embedding, 2 l + 1 after the attention of layer l, 2 l + 2 after its MLP.
    """

    name: str
    values: tuple[Value, ...]
    number: bool
    made_by: Aggregate | Map | None
    time: int

    @property
    def width(self) -> int:
        """Dimensions of its subspace."""
        return 1 if self.number else len(self.values)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """An attention head: each position takes the mean of what the positions that it selects have.

    Attributes:
        query: whose value at a position selects; None with ``key``: all positions that it sees.
        key: whose value is selected by.
        select: whether a query's value selects a key's.
        source: whose values are read.
        weights: the number that is read for each of its values; None: the value itself.
    """

    query: Variable | None
    key: Variable | None
    select: Select | None
    source: Variable
    weights: Mapping[Value, float] | None

    def value(self, at: int, seen: Sequence[int], values: Mapping[Variable, Sequence[Value]]) -> Value:
        """Its value at a position, in plain Python."""
        chosen = list(seen)
        if self.query is not None and self.key is not None and self.select is not None:
            asked = values[self.query][at]
            chosen = [j for j in seen if self._selects(asked, values[self.key][j])]
        if not chosen:
            return None
        read = [values[self.source][j] for j in chosen]
        if self.source.number:
            return sum(read) / len(read)
        if self.weights is not None:
            return sum(self.weights.get(value, 0.0) for value in read) / len(read)
        return read[0] if len(set(read)) == 1 else None

    def _selects(self, asked: Value, shown: Value) -> bool:
        assert self.select is not None
        return asked is not None and shown is not None and self.select(asked, shown)


@dataclass(frozen=True, eq=False)
class Map:
    """A part of an MLP: a function of variables at the same position, as steps along a weighted sum of them.

    Attributes:
        sources: the variables.
        weights: of each in the sum; the sum tells all their values apart, or at least those with different results.
        steps: the sums that are possible, ascending, each with the function's value there.
        at: where between two sums the step is, as a share of the way.
    """

    sources: tuple[Variable, ...]
    weights: tuple[float, ...]
    steps: tuple[tuple[float, Value], ...]
    at: float
    function: Callable[..., Value]


def code(variable: Variable, value: Value) -> float:
    """The number that stands for a value in the sum of a `Map`: a number itself, or a category's place."""
    if variable.number:
        return float(value)
    return float(variable.values.index(value))


@dataclass
class Program:
    """A program under construction; its methods add variables, in layers as early as their sources allow.

    Attributes:
        alphabet: the tokens.
        n_ctx: positions.
        causal: whether a position sees only itself and earlier ones.
    """

    alphabet: tuple[Value, ...]
    n_ctx: int
    causal: bool = False
    variables: list[Variable] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = self._add(Variable("tokens", tuple(self.alphabet), False, None, 0))
        self.indices = self._add(Variable("indices", tuple(range(self.n_ctx)), False, None, 0))

    def _add(self, variable: Variable) -> Variable:
        if variable.name in {other.name for other in self.variables}:
            raise InterpError(f"the program has a variable {variable.name!r} already")
        self.variables.append(variable)
        return variable

    def aggregate(
        self, name: str, source: Variable, query: Variable | None = None, key: Variable | None = None,
        select: Select | None = None, weights: Mapping[Value, float] | None = None, values: Sequence[float] = (),
    ) -> Variable:  # fmt: skip
        """Add a head.

        Args:
            name: of the new variable.
            source: what it reads where it attends.
            query: whose values at a position select; None: it attends everywhere alike.
            key: whose values are selected by.
            select: whether a query's value selects a key's.
            weights: a number for values of ``source``, of which the mean is taken; None: it moves the value as it is.
            values: that a mean can have.

        Returns:
            the new variable.
        """
        made = Aggregate(query, key, select, source, weights)
        number = source.number or weights is not None
        layer = max((x.time + 1) // 2 for x in (source, query, key) if x is not None)
        own = tuple(values) if number else source.values
        return self._add(Variable(name, own, number, made, 2 * layer + 1))

    def map(
        self, name: str, function: Callable[..., Value], *sources: Variable, weights: Sequence[float] = (), at: float = 0.5,
        number: bool = False,
    ) -> Variable:  # fmt: skip
        """Add a function of variables at the same position.

        Args:
            name: of the new variable.
            function: of a value of each source; for None nothing is written.
            sources: what it reads.
            weights: of the sources in the sum along which the function is a row of steps; by default a sum that tells all
                combinations of values apart.
            at: where between two sums the step is, as a share of the way.
            number: whether the results are numbers.

        Returns:
            the new variable.

        Raises:
            InterpError: a sum of these weights is the same where the function is not.
        """
        scales = tuple(weights) or _radix(sources)
        found: dict[float, Value] = {}
        for chosen in product(*(x.values for x in sources)):
            total = round(sum(w * code(x, v) for w, x, v in zip(scales, sources, chosen, strict=True)), 9)
            value = function(*chosen)
            if found.setdefault(total, value) != value:
                raise InterpError(
                    f"{name}: the weighted sum is {total:g} for values with different results; change weights"
                )
        results = tuple(sorted({v for v in found.values() if v is not None}))
        made = Map(sources, scales, tuple(sorted(found.items(), key=lambda item: item[0])), at, function)
        layer = max(x.time // 2 for x in sources)
        return self._add(Variable(name, results, number, made, 2 * layer + 2))

    def run(self, sequence: Sequence[Value]) -> dict[str, list[Value]]:
        """Every variable's values on a sequence of tokens, in plain Python."""
        n = len(sequence)
        values: dict[Variable, list[Value]] = {self.tokens: list(sequence), self.indices: list(range(n))}
        for variable in self.variables[2:]:
            made = variable.made_by
            if isinstance(made, Map):
                rows = zip(*(values[x] for x in made.sources), strict=True)
                values[variable] = [None if None in row else made.function(*row) for row in rows]
            elif made is not None:
                seen = [range(i + 1) if self.causal else range(n) for i in range(n)]
                values[variable] = [made.value(i, seen[i], values) for i in range(n)]
        return {variable.name: found for variable, found in values.items()}


def _radix(sources: Sequence[Variable]) -> tuple[float, ...]:
    """Weights of a sum that tells all combinations of values apart, the first source the most important."""
    weights: list[float] = []
    spread = 0.0
    for source in reversed(sources):
        codes = sorted({code(source, v) for v in source.values})
        gap = min((b - a for a, b in pairwise(codes)), default=1.0)
        weights.append((spread + 1.0) / gap if weights else 1.0 / gap)
        spread += weights[-1] * (codes[-1] - codes[0])
    return tuple(reversed(weights))
