"""Which representations of addition there are, and which of them networks find: sets of parallelograms that hold together.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343, appendix E, figures 11 and 12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, MissingCapability
from interp.snapshot import Snapshot
from interp.subject import Subject
from probes.embedding_views import embedding_table
from probes.parallelograms import Samples, normalised, samples_of
from probes.rqi_criteria import ROUNDING, Criterion, code_scale, near, usual_delta

MOST = 13  # parallelograms whose sets are listed: p = 4, 5, 6 have 3, 7, 13 of them, and 5, 18, 88 representations
Parallelogram = tuple[int, int, int, int]


@dataclass(frozen=True)
class Representation:
    """A set of parallelograms that hold together: no other follows from them.

    Attributes:
        parallelograms: (i, j, m, n) with ``E_i + E_j = E_m + E_n``.
        freedom: dimension of the embeddings with these, per dimension of the embedding; 2 for the line ``a + k b``.
        below: places, in the list of `representations`, of the largest representations with fewer of them.
    """

    parallelograms: frozenset[Parallelogram]
    freedom: int
    below: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """``0+2=1+1, ...``, or ``none``."""
        return label_of(self.parallelograms)


def label_of(parallelograms: Iterable[Parallelogram]) -> str:
    """A set of parallelograms in words.

    Args:
        parallelograms: (i, j, m, n).

    Returns:
        ``0+2=1+1, ...``, or ``none``.

    >>> label_of([(0, 2, 1, 1)]), label_of([])
    ('0+2=1+1', 'none')
    """
    return ", ".join(f"{i}+{j}={m}+{n}" for i, j, m, n in sorted(parallelograms)) or "none"


def parallelograms_of(samples: Samples) -> list[Parallelogram]:
    """All parallelograms ``P0`` of an operation on sums, in order.

    Args:
        samples: of an operation on sums, from `probes.parallelograms.samples_of`.

    Returns:
        (i, j, m, n) with one answer for i, j and m, n.

    Raises:
        MissingCapability: products of matrices.

    >>> from interp import ToyAddition
    >>> parallelograms_of(samples_of(ToyAddition(4))[0])
    [(0, 2, 1, 1), (0, 3, 1, 2), (1, 3, 2, 2)]
    """
    if samples.product:
        raise MissingCapability("the hierarchy of representations is that of sums; products of matrices are not linear")
    one, other = (samples.labels[:, None] == samples.labels).triu(1).nonzero().T
    pairs = samples.pairs
    return [(i, j, m, n) for (i, j), (m, n) in zip(pairs[one].tolist(), pairs[other].tolist(), strict=True)]


def representations(samples: Samples) -> list[Representation]:
    """All representations that addition can have, from the line to none, as in figure 11.

    A set is listed if every parallelogram that follows from it, as a linear combination of its equations, is in it. So
    addition with p = 4 has five: with any two of its three parallelograms the third follows. (The source draws all eight sets.)

    Args:
        samples: of an operation on sums, from `probes.parallelograms.samples_of`.

    Returns:
        By number of parallelograms, the most first.

    Raises:
        MissingCapability: products of matrices, or more than 13 parallelograms.

    >>> from interp import ToyAddition
    >>> [(found.label, found.freedom) for found in representations(samples_of(ToyAddition(3))[0])]
    [('0+2=1+1', 2), ('none', 3)]
    """
    names = parallelograms_of(samples)
    if len(names) > MOST:
        raise MissingCapability(
            f"{len(names)} parallelograms have too many sets to list; the hierarchy is for at most {MOST} (p = 6)"
        )
    rows = _equations(names, samples.n_symbols)
    seen, todo = {frozenset[int]()}, [frozenset[int]()]
    while todo:
        have = todo.pop()
        for k in set(range(len(names))) - have:
            bigger = _following(rows, have | {k})
            if bigger not in seen:
                seen.add(bigger)
                todo.append(bigger)
    found = sorted(seen, key=lambda have: (-len(have), sorted(have)))
    return [
        Representation(frozenset(names[k] for k in have), samples.n_symbols - _rank(rows, have), _below(found, have))
        for have in found
    ]


def held(
    embeddings: Float[Tensor, "symbol dim"], samples: Samples, delta: float | None = None, *, criterion: Criterion = "paper"
) -> frozenset[Parallelogram]:  # fmt: skip
    """The parallelograms that embeddings have, within delta: `P(R, delta)` as a set.

    Args:
        embeddings: one per symbol, ``[symbol, dim]``; they are normalised as the criterion says.
        samples: of an operation on sums, from `probes.parallelograms.samples_of`.
        delta: largest distance that counts as equal; that of the criterion.
        criterion: ``"paper"`` or ``"code"``, see `probes.rqi_criteria`.

    Returns:
        (i, j, m, n) with ``E_i + E_j = E_m + E_n``.

    Raises:
        InterpError: embeddings that are not finite.

    >>> from interp import ToyAddition
    >>> label_of(held(torch.tensor([[0.0], [1.0], [2.0], [7.0]]), samples_of(ToyAddition(4))[0]))
    '0+2=1+1'
    """
    names = parallelograms_of(samples)
    delta = usual_delta(criterion, False) if delta is None else delta
    samples.combine(embeddings)  # refuses embeddings that do not fit the symbols
    scaled = normalised(embeddings) if criterion == "paper" else code_scale(embeddings, False)
    if not bool(scaled.isfinite().all()):
        raise InterpError("the embeddings hold NaN or infinity, so that no parallelogram can be judged")
    distance = (_equations(names, samples.n_symbols).to(scaled) @ scaled).norm(dim=1)
    slack = ROUNDING * float(scaled.abs().max())
    close = near(distance, scaled.shape[1], product=False, delta=delta, criterion=criterion, slack=slack)
    return frozenset(name for name, holds in zip(names, close.tolist(), strict=True) if holds)


def found_by(
    subjects: Sequence[Subject], by: Sequence[str] = (), delta: float | None = None, *, criterion: Criterion = "paper"
) -> pd.DataFrame:  # fmt: skip
    """How often each representation is found, by settings of the networks, as in figure 12.

    A network has the representation that its parallelograms imply together, even if one of these misses delta.

    Args:
        subjects: networks trained on addition, such as `Run.subjects`.
        by: settings of their run's members to count by, such as ``["embedding_lr", "decoder_lr"]``.
        delta: as for `held`.
        criterion: as for `held`.

    Returns:
        A row per combination of settings and representation: the settings, ``representation``, ``freedom``,
        ``parallelograms``, ``networks``, ``share``. Representations that no network has are there with 0.

    Raises:
        InterpError: no networks, or a setting that they do not have.
    """
    if not subjects:
        raise InterpError("found_by needs networks: pass run.subjects")
    samples, _ = samples_of(subjects[0].require_task())
    names = parallelograms_of(samples)
    listed, rows = representations(samples), _equations(names, samples.n_symbols)
    counts: dict[tuple[object, ...], Counter[frozenset[Parallelogram]]] = {}
    for subject in subjects:
        embeddings = embedding_table(Snapshot(subject)).rows
        own = held(embeddings, samples, delta, criterion=criterion)
        following = _following(rows, frozenset(k for k, name in enumerate(names) if name in own))
        key = tuple(_setting(subject, name) for name in by)
        counts.setdefault(key, Counter())[frozenset(names[k] for k in following)] += 1
    table = [
        {**dict(zip(by, key, strict=True)), "representation": one.label, "freedom": one.freedom,
         "parallelograms": len(one.parallelograms), "networks": found[one.parallelograms],
         "share": found[one.parallelograms] / found.total()}
        for key, found in counts.items() for one in listed
    ]  # fmt: skip
    return pd.DataFrame(table)


def _setting(subject: Subject, name: str) -> object:
    """A setting of the network's member of its run."""
    run = subject.run
    settings = run.plan.members[int(subject.origin.get("member", 0))] if run is not None else {}
    if name not in settings:
        raise InterpError(f"the networks have no setting {name!r}; they differ in {', '.join(settings) or 'none'}")
    return settings[name]


def _equations(names: Sequence[Parallelogram], n_symbols: int) -> Float[Tensor, "parallelogram symbol"]:
    rows = torch.zeros(len(names), n_symbols, dtype=torch.float64)
    for k, (i, j, m, n) in enumerate(names):
        for symbol, sign in ((i, 1), (j, 1), (m, -1), (n, -1)):
            rows[k, symbol] += sign
    return rows


def _rank(rows: Tensor, have: frozenset[int]) -> int:
    return int(torch.linalg.matrix_rank(rows[sorted(have)])) if have else 0


def _following(rows: Tensor, have: frozenset[int]) -> frozenset[int]:
    """Those of all equations that are linear combinations of some."""
    if not have:
        return have
    basis = torch.linalg.svd(rows[sorted(have)], full_matrices=False)
    span = basis.Vh[basis.S > 1e-9]
    rest = (rows - rows @ span.T @ span).norm(dim=1)
    return frozenset((rest < 1e-9).nonzero().flatten().tolist())


def _below(found: Sequence[frozenset[int]], have: frozenset[int]) -> tuple[int, ...]:
    smaller = [k for k, other in enumerate(found) if other < have]
    return tuple(k for k in smaller if not any(found[k] < found[other] for other in smaller))
