"""Methods of circuit discovery side by side: faithfulness over sparsity, and precision and recall where the circuit is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from circuits.discovery.discover import Circuit
from circuits.engine.budget import DEFAULT_BYTES
from circuits.interventions.values import ValueLike
from circuits.known.known_circuit import KnownCircuit
from circuits.methods.acdc import acdc
from circuits.methods.benchmark_result import Benchmark
from circuits.methods.eap import eap
from circuits.methods.eap_ig import eap_ig
from circuits.methods.edge_effects import edge_effects
from circuits.methods.edge_pruning import edge_pruning
from circuits.methods.edge_scores import EdgeScores, edge_scores
from circuits.methods.faithfulness import Faithfulness
from circuits.methods.greedy import greedy
from circuits.methods.pairs import Ends, make_ends
from circuits.methods.subnetwork_probing import subnetwork_probing
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject

THRESHOLDS = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)  # of ACDC, in shares of what ablating everything changes
RANDOM = "random"

Method = Callable[..., EdgeScores]


def acdc_path(
    subject: Subject, clean: Tensor | None, corrupted: Tensor | None, *, faithfulness: float, **how: Any
) -> EdgeScores:
    """ACDC at falling thresholds: an edge's score is the largest at which it is kept.

    Args:
        subject: the network.
        clean: inputs.
        corrupted: another input for each of them.
        faithfulness: the circuit kept is that of the largest threshold at which it is reached.
        how: further arguments of `acdc`.

    Returns:
        the scores; thresholds are `THRESHOLDS`, in shares of what ablating everything changes.
    """
    ends = make_ends(subject, clean, corrupted, **how)
    whole, found = abs(ends.clean - ends.empty), []
    for share in THRESHOLDS:
        found.append(acdc(subject, clean, corrupted, threshold=share * whole, progress=False, **how))
    kept = torch.stack([one.chosen for one in found if one.chosen is not None])
    scores = (kept.double() * torch.tensor(THRESHOLDS, dtype=torch.float64)[:, None].to(kept.device)).amax(0) * whole
    reached = (ends.faithfulness(kept) >= faithfulness).tolist()
    best = found[reached.index(True) if any(reached) else -1]
    edges = best.edges.assign(score=scores.tolist())
    return replace(best, edges=edges, method="ACDC", forward=sum(one.forward for one in found))


METHODS: dict[str, Method] = {
    "edge patching": edge_effects,
    "EAP": eap,
    "EAP-IG": eap_ig,
    "EAP-IG (activations)": partial(eap_ig, path="activations"),
    "ACDC": acdc_path,
    "subnetwork probing": partial(subnetwork_probing, progress=False),
    "edge pruning": partial(edge_pruning, progress=False),
    "discover": greedy,
    "discover (attribution)": partial(greedy, order="attribution"),
}  # fmt: skip
# methods that keep a circuit themselves, of a given faithfulness
KEEPING = ("ACDC", "subnetwork probing", "edge pruning", "discover", "discover (attribution)")
LEARNT = ("subnetwork probing", "edge pruning")  # thousands of passes each: only where they are asked for
FUNCTIONS = {  # names of the functions, by which the methods are known, too
    "edge_effects": "edge patching", "eap": "EAP", "eap_ig": "EAP-IG", "acdc": "ACDC",
    "subnetwork_probing": "subnetwork probing", "edge_pruning": "edge pruning",
}  # fmt: skip


@dataclass(frozen=True)
class _Case:
    name: str
    subject: Subject
    clean: Tensor | None
    corrupted: Tensor | None
    metric: MetricLike
    known: KnownCircuit | None


@with_bar
def benchmark(
    subject: Subject | HookedModel | KnownCircuit | Sequence[KnownCircuit] | Mapping[str, KnownCircuit],
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    methods: str | Sequence[str] | Mapping[str, Method] | None = None,
    metric: MetricLike | None = None,
    value: ValueLike | None = None,
    faithfulness: float = 0.95,
    shares: Sequence[float] | None = None,
    n_random: int = 8,
    stability: bool = True,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Benchmark:
    """Circuit discovery by several methods on the same network, or on networks whose circuits are known.

    Each method ranks the edges. Its curve is the faithfulness of the first edges over their share of all (CPR and CMD are its
    areas, as in MIB); its circuit is the one that it keeps itself, or the fewest first edges that reach ``faithfulness``.
    Beside them stand ``n_random`` random rankings, as a mean.

    Args:
        subject: the network and its task; or one or several known circuits, of ``circuits.known``.
        clean: inputs ``[n, ...]``; the task's examples by default. Known circuits have their own.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        methods: names: ``"edge patching", "EAP", "EAP-IG", "EAP-IG (activations)", "ACDC", "subnetwork probing", "edge
            pruning", "discover", "discover (attribution)"``, or those of the functions; by default all but the two learned
            masks, which take thousands of passes. Or a dict of functions of ``(subject, clean, corrupted, metric=, value=,
            dtype=, max_bytes=)`` that return `EdgeScores`.
        metric: with a gradient; ``"logit_diff"`` by default, a known circuit's own.
        value: what an ablated edge carries without ``corrupted``.
        faithfulness: that each method's circuit must reach.
        shares: of edges, at which curves are taken; those of MIB by default.
        n_random: random rankings.
        stability: run each method on two halves of the inputs as well: three times the work.
        seed: of the random rankings, and of the halves of the inputs.
        dtype: networks run in this, their own precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (methods done, methods in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `Benchmark`.

    Raises:
        UnknownName: a method that there is not.
        InterpError: inputs beside known circuits, a network without edges, or something else than a network.

    Mueller et al. 2025, MIB: A Mechanistic Interpretability Benchmark, https://arxiv.org/abs/2504.13151; Wang et al. 2022 (IOI;
    completeness and minimality), https://arxiv.org/abs/2211.00593.
    """
    require_range("faithfulness", faithfulness, 0, 1)
    require_range("n_random", n_random, 0)
    cases, chosen = _cases(subject, clean, corrupted, metric), _methods(methods)
    how: dict[str, Any] = {"value": value, "dtype": dtype, "max_bytes": max_bytes}
    rows, wrong, curves, seen = [], [], {}, told("methods", progress)
    for i, case in enumerate(cases):
        ends = make_ends(case.subject, case.clean, case.corrupted, case.metric, **how)
        curves[case.name] = []
        for j, (name, method) in enumerate(chosen.items()):
            run = partial(_run, name, method, case, faithfulness, how)
            start = time.perf_counter()
            try:
                found = run(case.clean, case.corrupted)
            except InterpError as error:
                rows.append({"network": case.name, "method": name, "note": str(error)})
                continue
            seconds = time.perf_counter() - start
            circuit = _circuit(found, faithfulness)
            curves[case.name].append(replace(found.curve(shares), method=name))
            row, edges = _row(case, name, found, circuit, curves[case.name][-1])
            stable = _stability(run, circuit, case, seed) if stability else float("nan")
            rows.append({**row, "stability": stable, "seconds": seconds})
            wrong += edges
            seen(i * len(chosen) + j + 1, len(cases) * len(chosen))
        if n_random:
            row, mean = _random(ends, case, n_random, seed, faithfulness, shares)
            rows.append(row)
            curves[case.name].append(mean)
    columns = pd.Index(["network", "method", "edge", "what"])
    return Benchmark(pd.DataFrame(rows), pd.DataFrame(wrong, columns=columns), curves, faithfulness)


def _cases(subject: Any, clean: Tensor | None, corrupted: Tensor | None, metric: MetricLike | None) -> list[_Case]:
    known = [*subject.values()] if isinstance(subject, Mapping) else subject
    known = [known] if isinstance(known, KnownCircuit) else known
    if isinstance(known, Sequence) and known and all(isinstance(k, KnownCircuit) for k in known):
        if clean is not None or corrupted is not None:
            raise InterpError("a known circuit has clean and corrupted inputs of its own: leave them out")
        return [_Case(k.name, k.subject, k.clean, k.corrupted, metric or k.metric, k) for k in known]
    given: Any = subject
    one = as_subject(given)
    return [_Case(one.name, one, clean, corrupted, metric or "logit_diff", None)]


def _methods(given: str | Sequence[str] | Mapping[str, Method] | None) -> dict[str, Method]:
    if isinstance(given, Mapping):
        return dict(given)
    if given is None:
        return {name: method for name, method in METHODS.items() if name not in LEARNT}
    known = {name.lower(): name for name in METHODS} | FUNCTIONS
    asked: list[Any] = [given] if isinstance(given, str) or callable(given) else list(given)
    chosen = {}
    for one in asked:
        name = getattr(one, "__name__", one)
        found = known.get(name.lower()) if isinstance(name, str) else None
        if found is None:
            raise UnknownName(
                unknown("method", name, METHODS) + "; a method of your own goes in a dict, {name: function}"
            )
        chosen[found] = METHODS[found]
    return chosen


def _run(
    name: str,
    method: Method,
    case: _Case,
    faithfulness: float,
    how: dict[str, Any],
    clean: Tensor | None,
    corrupted: Tensor | None,
) -> EdgeScores:
    more = {"faithfulness": faithfulness} if METHODS.get(name) is method and name in KEEPING else {}
    return method(case.subject, clean, corrupted, metric=case.metric, **how, **more)


def _circuit(found: EdgeScores, faithfulness: float) -> Circuit:
    return (
        found.circuit(n_random=0) if found.chosen is not None else found.circuit(faithfulness=faithfulness, n_random=0)
    )


def _row(
    case: _Case, name: str, found: EdgeScores, circuit: Circuit, curve: Faithfulness
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A row of the table, and the edges that the method has wrong."""
    row: dict[str, Any] = {
        "network": case.name, "method": name, "edges": len(circuit), "of": len(found.edges),
        "faithfulness": circuit.faithfulness, "completeness": circuit.completeness, "minimality": circuit.minimality,
        "CPR": curve.cpr, "CMD": curve.cmd, "precision": float("nan"), "recall": float("nan"),
        "recall_needed": float("nan"), "forward": found.forward, "backward": found.backward, "note": "",
    }  # fmt: skip
    if case.known is None:
        return row, []
    against = case.known.compare(circuit.components)
    row |= {"precision": against.precision, "recall": against.recall, "recall_needed": against.recall_needed}
    wrong = [("missed", e) for e in sorted(against.missed)] + [("spurious", e) for e in sorted(against.spurious)]
    return row, [{"network": case.name, "method": name, "edge": e, "what": what} for what, e in wrong]


def _stability(run: Callable[..., EdgeScores], circuit: Circuit, case: _Case, seed: int) -> float:
    """The Jaccard index of the circuits on two halves of the inputs, each as large as the circuit on all of them."""
    inputs = case.subject.require_task().inputs if case.clean is None else case.clean
    if len(inputs) < 4:
        return float("nan")
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))
    halves = []
    for half in order.to(inputs.device).chunk(2):
        try:
            one = run(inputs[half], None if case.corrupted is None else case.corrupted[half])
        except InterpError:  # nothing to find on this half
            return float("nan")
        halves.append(one.top(len(circuit)))
    union = (halves[0] | halves[1]).sum()
    return float((halves[0] & halves[1]).sum() / union) if union else float("nan")


def _random(
    ends: Ends, case: _Case, n: int, seed: int, faithfulness: float, shares: Sequence[float] | None
) -> tuple[dict[str, Any], Faithfulness]:
    """The mean row and curve of random rankings."""
    rows, curves = [], []
    for i in range(n):
        generator = torch.Generator().manual_seed(seed + i)
        scores = torch.rand(len(ends.graph), generator=generator, dtype=torch.float64)
        one = edge_scores(ends, scores, method=RANDOM, passes=(0, 0))
        curves.append(one.curve(shares))
        rows.append(_row(case, RANDOM, one, one.circuit(faithfulness=faithfulness, n_random=0), curves[-1])[0])
    table = pd.DataFrame(rows)
    points = curves[0].points.assign(faithfulness=sum(c.points["faithfulness"] for c in curves) / n)
    mean = table.drop(columns=["network", "method", "note"]).mean().to_dict()
    more = {"network": case.name, "method": RANDOM, "note": "", "stability": float("nan"), "seconds": 0.0}
    return {**mean, **more}, Faithfulness(points, RANDOM)
