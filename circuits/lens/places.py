"""The residual stream at every place of a transformer, read as its final stream is, and judged by metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.answers import Answers
from circuits.engine.budget import BATCH, DEFAULT_BYTES
from circuits.lens.asked import Asked
from circuits.metrics import Metric, MetricLike, make_metrics
from interp.activations.capture import capture
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from probes.unembedding import Unembedding, require_transformer

ROUNDED = 1e-5  # some RMSNorms compute in float32 whatever they are given
Translator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AnswersLogit(Metric):
    """The right answer's logit."""

    name = "logit"

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs)
        right = answers.required(self.name)[rows].to(logits.device).expand(logits.shape[:2])
        return logits.gather(-1, right.unsqueeze(-1)).squeeze(-1).double()


@dataclass(frozen=True)
class AnswersProbability(Metric):
    """The right answer's probability."""

    name = "probability"

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs).double()
        right = answers.required(self.name)[rows].to(logits.device).expand(logits.shape[:2])
        return logits.softmax(-1).gather(-1, right.unsqueeze(-1)).squeeze(-1)


OWN: Mapping[str, Metric] = {"logit": AnswersLogit(), "probability": AnswersProbability()}


def lens_metrics(given: MetricLike | Sequence[MetricLike] | None, known: bool) -> tuple[Metric, ...]:
    """What each place is judged by.

    Args:
        given: what `circuits.metrics.make_metrics` takes, ``"logit"`` or ``"probability"`` (of the right answer).
        known: whether answers are known.

    Returns:
        the metrics; by default loss, accuracy, logit difference and divergence, without answers the divergence alone.
    """
    if given is None:
        return make_metrics(["loss", "accuracy", "logit_diff", "kl"] if known else ["kl"])
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return make_metrics([OWN.get(one, one) if isinstance(one, str) else one for one in several])


def places(model: HookedModel, mid: bool = True) -> dict[str, str]:
    """The residual stream's hook points by TransformerLens's labels: ``0_pre``, ``0_mid``, ..., ``final_post``.

    Args:
        model: a transformer of ours, or a wrapped bridge.
        mid: between attention and MLP, too.

    Returns:
        names of hook points.

    Raises:
        InterpError: another kind of network.
    """
    n_layers = require_transformer(model).cfg.n_layers
    found = {}
    for i in range(n_layers):
        found[f"{i}_pre"] = f"blocks.{i}.hook_resid_pre"
        if mid:
            found[f"{i}_mid"] = f"blocks.{i}.hook_resid_mid"
    found["final_post"] = f"blocks.{n_layers - 1}.hook_resid_post"
    found = {label: name for label, name in found.items() if name in model.hook_dict}
    if "final_post" not in found:
        raise InterpError(
            "the model shows no final residual stream (blocks.N.hook_resid_post); a wrapped bridge says in model.notes which of "
            "its hook points do not act as named"
        )
    return found


def streams(
    asked: Asked,
    sites: Sequence[str],
    positions: Sequence[int],
    rows: Tensor | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> Iterator[tuple[Tensor, dict[str, Float[Tensor, "n pos d_model"]], Float[Tensor, "n pos out"]]]:
    """Batches of the stream at every place, and of the network's own outputs.

    Args:
        asked: network and inputs.
        sites: hook points.
        positions: which.
        rows: which inputs; all by default.
        max_bytes: of one batch's activations.

    Yields:
        the batch's rows, the streams by hook point, and the outputs.
    """
    rows = torch.arange(len(asked.inputs)) if rows is None else rows
    d_model, n_out = require_transformer(asked.model).W_U.shape
    width = (len(sites) * d_model + n_out) * asked.inputs.shape[1] * 8
    for part in rows.split(max(1, min(BATCH, max_bytes // width))):
        found = capture(asked.model, asked.inputs[part.to(asked.inputs.device)], sites, outputs=lambda out: out)
        assert found.outputs is not None
        at = list(positions)
        yield part, {site: found[site][:, at] for site in sites}, found.outputs[:, at]


@torch.no_grad()
def judged(
    asked: Asked, sites: Sequence[str], positions: Sequence[int], metrics: Sequence[Metric],
    translators: Mapping[str, Translator] | None = None, rows: Tensor | None = None, max_bytes: int = DEFAULT_BYTES,
) -> tuple[Float[Tensor, "place pos metric"], Float[Tensor, "pos metric"]]:  # fmt: skip
    """Every place's logits, judged.

    Args:
        asked: network, inputs and answers.
        sites: hook points, the last of them the final stream.
        positions: which.
        metrics: what logits are judged by.
        translators: of streams at a hook point, before they are read; none by default.
        rows: which inputs; all by default.
        max_bytes: of one batch's activations.

    Returns:
        means over the inputs of every place, and of the network's own outputs.

    Raises:
        InterpError: the final stream does not give the network's own outputs.
    """
    read, translate = Unembedding.of(asked.model), translators or {}
    sums = torch.zeros(len(sites) + 1, len(positions), len(metrics), dtype=torch.float64, device=asked.inputs.device)
    count = 0
    for part, found, outputs in streams(asked, sites, positions, rows, max_bytes):
        count += len(part)
        for i, site in enumerate([*sites, ""]):
            logits = read.logits(translate.get(site, _same)(found[site])) if site else outputs
            if i == len(sites) - 1:
                _check(logits, outputs, asked.name)
            for j, position in enumerate(positions):
                answers = asked.answers(position, part, outputs[:, j])
                for k, metric in enumerate(metrics):
                    sums[i, j, k] += metric.values(logits[None, :, j], slice(None), answers).sum()
    return sums[:-1] / count, sums[-1] / count


def _same(stream: Tensor) -> Tensor:
    return stream


def _check(logits: Tensor, outputs: Tensor, name: str) -> None:
    gap = (logits - outputs).abs().max().item()
    if gap > max(float(outputs.abs().max()), 1.0) * max(torch.finfo(outputs.dtype).eps ** 0.5, ROUNDED):
        raise InterpError(
            f"{name}: its final stream, normed and unembedded, differs from its logits by {gap:.2g}: something else stands "
            "between them, so a logit lens would show another network"
        )
