"""Linear mode connectivity: loss and accuracy along the straight line between two networks' weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
from torch import Tensor
from typing_extensions import override

from circuits.engine.arguments import require_whole
from circuits.findings import Findings
from circuits.weight_line.matching import STARTS, By, WeightMatching, match_weights
from circuits.weight_line.pair import SIZE, judged_by, pair_of
from circuits.weight_sweeps.stacked_scores import MAX_BYTES, StackedScores, examples_of
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject
from interp.tasks import Task

if TYPE_CHECKING:
    import plotly.graph_objects as go

Part = Literal["train", "test", "all"]
Match = bool | Literal["both"]
PARTS = ("train", "test", "all")
NAMES = {False: "as they are", True: "matched"}


@dataclass(frozen=True, eq=False, repr=False)
class LinearConnectivity(Findings):
    """Loss and accuracy along the line from one network's weights to another's.

    Attributes:
        line: a row per point: ``matched, part, alpha`` (0 at a, 1 at b), ``loss``, ``accuracy`` (NaN for a regression).
        distances: between both ends, by whether b was matched.
        judge: the task that gives the loss, in words.
        matching: of b's units to a's; None without.
    """

    line: pd.DataFrame
    distances: dict[bool, float]
    judge: str
    matching: WeightMatching | None = None

    @property
    def barriers(self) -> pd.DataFrame:
        """A row per line and part: ``barrier`` is the largest loss along the line minus the mean of the ends' losses.

        ``barrier_over_line`` is the largest excess over the straight line between the ends' losses, which is not positive where
        the loss falls steadily from one end to the other; ``accuracy_lost`` the ends' mean accuracy minus the least along the
        line; ``at`` where the loss is largest; ``distance`` that of the weights.
        """
        groups = self.line.groupby(["matched", "part"], sort=False)
        return pd.DataFrame([
            {"matched": bool(matched), "part": part, **barrier_of(own), "distance": self.distances[bool(matched)]}
            for (matched, part), own in groups  # pyright: ignore[reportGeneralTypeIssues]  a group's key is a pair here
        ])  # fmt: skip

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """`line`."""
        return self.line

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per point and metric; ``clean`` is the mean of both ends, ``change`` the difference from it."""
        found = []
        for (matched, part), own in self.line.groupby(["matched", "part"], sort=False):  # pyright: ignore[reportGeneralTypeIssues]
            for metric in ("loss", "accuracy"):
                mean = float(own[metric].iloc[[0, -1]].mean())
                found.append(pd.DataFrame({
                    "component": NAMES[bool(matched)], "site": part, "index": range(len(own)), "metric": metric, "clean": mean,
                    "changed": own[metric].to_numpy(), "change": own[metric].to_numpy() - mean, "alpha": own["alpha"].to_numpy(),
                }))  # fmt: skip
        return pd.concat(found, ignore_index=True).dropna(subset="changed")

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """Barriers and distances, before and after matching, and what judged."""
        found: dict[str, Any] = {"judged by": self.judge}
        for row in self.barriers.to_dict("records"):
            name = f"{NAMES[row['matched']]}, {row['part']}"
            found |= {f"barrier {name}": row["barrier"], f"barrier over line {name}": row["barrier_over_line"]}
        return found | {f"distance {NAMES[matched]}": distance for matched, distance in self.distances.items()}

    @override
    def figure(self) -> go.Figure:
        """The loss along the line, a curve per part, before and after matching."""
        from interp.report import figures

        groups = self.line.groupby(["matched", "part"], sort=False)
        return figures.lines(
            {
                f"{NAMES[bool(matched)]}, {part}": (own["alpha"], own["loss"])
                for (matched, part), own in groups  # pyright: ignore[reportGeneralTypeIssues]
            },
            title="Loss along the line between two networks", x_title="share of the way from a to b", y_title="loss",
        )  # fmt: skip


@with_bar
@torch.no_grad()
def linear_connectivity(
    a: Subject | HookedModel,
    b: Subject | HookedModel,
    *,
    points: int = 25,
    part: Part | Sequence[Part] = "all",
    match: Match | WeightMatching = "both",
    by: By = "weights",
    seed: int = 0,
    starts: int = STARTS,
    size: int = SIZE,
    max_bytes: int = MAX_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> LinearConnectivity:
    """Linear mode connectivity: loss and accuracy of networks on the straight line between two networks' weights.

    The barrier is the largest loss along the line minus the mean of the ends' losses (Frankle et al. 2020,
    https://arxiv.org/abs/1912.05671); 0 where the ends are the worst and equally bad. ``match`` also draws the line to b with its
    units relabelled by `circuits.match_weights` (Ainsworth et al. 2022, Git Re-Basin, https://arxiv.org/abs/2209.04836).

    Misleads where the ends' losses differ much: half of the difference counts as barrier, which ``barrier_over_line`` leaves
    out. And a barrier that stays may be the matching's, which is a local optimum and searches no rotations.

    Args:
        a: where the line begins. Its task and split judge every point (b's where a has none). Without a task, networks that
            draw a picture are judged by a's own picture: mean squared error of its colours.
        b: where it ends; of the same architecture.
        points: on the line, both ends among them.
        part: of the examples: ``"train"``, ``"test"``, ``"all"`` or several of them.
        match: ``"both"``, True for the matched line alone, False for none; or a `WeightMatching` of these two.
        by: what is matched on, as in `circuits.match_weights`.
        seed: of the matching.
        starts: of the matching.
        size: pixels along each edge of a's picture, where that judges.
        max_bytes: working memory: as many points and examples run at once as fit.
        progress: called with (points done, points in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `LinearConnectivity`: ``.line`` by point, ``.barriers`` by line and part, ``.matching``.

    Raises:
        InterpError: another architecture or width, for which there is no line, or a part without examples.
        MissingCapability: neither has a task, and they draw no picture.
        UnknownName: another part.

    >>> import interp
    >>> a, b = (interp.HookedMLP(interp.MLPConfig((4,), 3, d_vocab=3, d_embed=4)).init_weights(seed=s) for s in (0, 1))
    >>> found = linear_connectivity(interp.Subject("a", a, interp.ModularArithmetic(3).fit(a)), b, points=5)
    >>> found.barriers["matched"].tolist()
    [False, True]
    """
    one, other = pair_of(a, b)
    task, judge = judged_by(one, other, size)
    return line_between(
        one, other, task, judge, points=points, part=part, match=match, by=by, seed=seed, starts=starts,
        max_bytes=max_bytes, progress=progress,
    )  # fmt: skip


def line_between(
    one: Subject, other: Subject, task: Task, judge: str, *, points: int, part: Part | Sequence[Part],
    match: Match | WeightMatching, by: By, seed: int, starts: int, max_bytes: int,
    progress: Callable[[int, int], None] | bool | None,
) -> LinearConnectivity:  # fmt: skip
    """`linear_connectivity` of a pair that has been checked, judged by a task that is given."""
    require_whole("points", points, 3)
    parts = [part] if isinstance(part, str) else list(part)
    for name in parts:
        if name not in PARTS:
            raise UnknownName(unknown("part", name, PARTS))
    if not parts:
        raise InterpError("part is empty: choose 'train', 'test', 'all' or several of them")
    if not (isinstance(match, bool | WeightMatching) or match == "both"):
        raise InterpError(f"match is True, False, 'both' or what circuits.match_weights returned, got {match!r}")
    indices = {name: examples_of(task, name) for name in parts}
    whole = parts[0] if len(parts) == 1 else "all"
    scores = StackedScores.of(replace(one, task=task), whole, max_bytes)
    matching = match if isinstance(match, WeightMatching) else None
    if matching is not None:
        matching.require_fits(other.model)
    elif match is not False:
        matching = match_weights(one, other, by=by, seed=seed, starts=starts, progress=False)
    ends = [{n: p.detach() for n, p in m.named_parameters()} for m in (scores.model, _like(other, scores.model))]
    targets = {} if match is True else {False: ends[1]}
    if matching is not None:
        targets[True] = matching.relabelling.weights(ends[1])
    frames, distances = [], {}
    done, shown = 0, told("points", progress)
    for matched, target in targets.items():
        distances[matched] = float(sum((ends[0][n] - t).double().square().sum() for n, t in target.items()) ** 0.5)
        found = []
        for judged in _judged(scores, ends[0], target, torch.linspace(0, 1, points, dtype=torch.float64)):
            found.append(_means(judged, indices, whole))
            done += len(judged)
            shown(done, points * len(targets))
        frames += _frames(torch.cat(found, 1), matched, parts)
    return LinearConnectivity(pd.concat(frames, ignore_index=True), distances, judge, matching)


def barrier_of(line: pd.DataFrame) -> dict[str, float]:
    """The barrier of one line, from its ``alpha``, ``loss`` and ``accuracy``."""
    alpha, loss, accuracy = (line[name].to_numpy(float) for name in ("alpha", "loss", "accuracy"))
    between = loss[0] + alpha * (loss[-1] - loss[0])
    return {
        "barrier": float(loss.max() - (loss[0] + loss[-1]) / 2), "barrier_over_line": float((loss - between).max()),
        "highest_loss": float(loss.max()), "at": float(alpha[loss.argmax()]), "loss_a": float(loss[0]),
        "loss_b": float(loss[-1]), "accuracy_lost": float((accuracy[0] + accuracy[-1]) / 2 - accuracy.min()),
    }  # fmt: skip


def _like(other: Subject, model: HookedModel) -> HookedModel:
    return other.model.cast(model.dtype, model.device)


def _judged(scores: StackedScores, a: dict[str, Tensor], b: dict[str, Tensor], alphas: Tensor) -> Iterator[Tensor]:
    """Loss and accuracy of every example ``[point, example, 2]``, as many points together as memory allows."""
    at_once, n = scores.at_once(2 * sum(w.nbytes for w in a.values()), shared=False)
    for some in alphas.split(at_once):
        stacked = {}
        for name, start in a.items():
            share = some.to(start).reshape(-1, *[1] * start.ndim)
            stacked[name] = (1 - share) * start + share * b[name]
        yield scores.of_stack({}, stacked, n)


def _means(judged: Tensor, indices: Mapping[str, Tensor], whole: str) -> Tensor:
    """Means over the examples of every part ``[part, point, 2]``."""
    return torch.stack([(judged if name == whole else judged[:, index]).mean(1) for name, index in indices.items()])


def _frames(values: Tensor, matched: bool, parts: Sequence[str]) -> list[pd.DataFrame]:
    alpha = torch.linspace(0, 1, values.shape[1], dtype=torch.float64).numpy()
    return [
        pd.DataFrame(
            {"matched": matched, "part": name, "alpha": alpha, "loss": own[:, 0].numpy(), "accuracy": own[:, 1].numpy()}
        )
        for name, own in zip(parts, values, strict=True)
    ]
