"""Direct logit attribution: what each part of a network adds by itself to a combination of its logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked import HookedMLP, HookedModel
from interp.hooked.lens_weights import LensWeights
from interp.hooked.residual_norm import scale_of
from interp.sites import hidden_sites
from probes.unembedding import Unembedding

By = Literal["component", "head", "neuron", "position"]
FINAL = "ln_final.hook_scale"


@dataclass(frozen=True)
class Question:
    """Which combination of logits is asked for, at which position.

    Attributes:
        right: the answer's index per input ``[n]``.
        wrong: an answer whose logit is subtracted ``[n]``; None for none.
        position: where the logits are read, of outputs with positions.
        width: only the first so many outputs are answers; None for all.
        centred: subtract the mean of the answers' logits, which softmax ignores.
    """

    right: Int[Tensor, " n"]
    wrong: Int[Tensor, " n"] | None = None
    position: int = -1
    width: int | None = None
    centred: bool = False

    def of(self, rows: slice) -> Question:
        """The question to some of the inputs."""
        wrong = None if self.wrong is None else self.wrong[rows]
        return Question(self.right[rows], wrong, self.position, self.width, self.centred)

    def rows(self, table: Float[Tensor, "out ..."]) -> Tensor:
        """The combination of a table's rows, of which each belongs to a logit: ``[n, ...]``."""
        table = table[: self.width]
        found = table[self.right.to(table.device)]
        found = found if self.wrong is None else found - table[self.wrong.to(table.device)]
        return found - table.mean(0) if self.centred else found

    def read(self, outputs: Tensor) -> Float[Tensor, " n"]:
        """The combination of outputs ``[n, (pos,) out]``."""
        if outputs.ndim == 3:
            outputs = outputs[:, 0 if outputs.shape[1] == 1 else self.position]
        outputs = outputs[:, : self.width]
        index = torch.arange(len(outputs), device=outputs.device)
        found = outputs[index, self.right.to(outputs.device)]
        found = found if self.wrong is None else found - outputs[index, self.wrong.to(outputs.device)]
        return found - outputs.mean(1) if self.centred else found


class Parts(NamedTuple):
    """What some parts of a network add, ``values [n, part]``, with their names and hook point."""

    names: tuple[str, ...]
    site: str
    values: Float[Tensor, "n parts"]


@torch.no_grad()
def direct_effects(
    model: HookedModel, inputs: Tensor, question: Question, by: By = "component"
) -> tuple[list[Parts], Tensor]:
    """What each part adds directly to a combination of the logits, of one batch of inputs.

    The logits of a transformer are a sum over what each part writes into the residual stream, times the unembedding. A final
    norm divides by a scale; it is frozen: the one that the whole stream has. The parts then add up to the logits exactly. What a
    part does to later parts is not counted.

    Args:
        model: a transformer of ours, a wrapped bridge, or a network whose outputs are linear in its last hidden layer.
        inputs: ``[n, ...]``.
        question: which combination of logits.
        by: ``"component"``: embeddings, heads, MLPs, biases; ``"head"``: heads, and all else in one; ``"neuron"``: the neurons
            of the MLPs instead of these; ``"position"``: each head split by the position that it reads.

    Returns:
        the parts, and the combination of the logits in this forward pass ``[n]``.

    Raises:
        UnknownName: another ``by``.
        InterpError: a network whose logits are not such a sum.

    Elhage et al. 2021, A Mathematical Framework for Transformer Circuits,
    https://transformer-circuits.pub/2021/framework/index.html.
    """
    if by not in get_args(By):
        raise UnknownName(unknown("way to split", by, get_args(By)))
    if not isinstance(model, LensWeights):
        return _of_hidden_units(model, inputs, question)
    if getattr(model.cfg, "post_norm", False):
        raise InterpError(
            "norms after the residual stream (post_norm) leave no direct effects that add up to the logit"
        )
    split = _Split(model, inputs, question, by)
    parts = list(split.parts())
    if by == "head":
        heads = [part for part in parts if part.site.endswith("hook_z")]
        rest = torch.cat([part.values for part in parts if not part.site.endswith("hook_z")], 1).sum(1, keepdim=True)
        parts = [*heads, Parts(("all else",), "", rest)]
    return parts, split.whole


class _Split:
    """One batch of a transformer's activations at the position that is read, and the directions that it is read along."""

    def __init__(self, model: Any, inputs: Tensor, question: Question, by: By):
        self.model, self.by, self.question = model, by, question
        self.layers, self.heads = model.cfg.n_layers, model.cfg.n_heads
        self.last = f"blocks.{self.layers - 1}.hook_resid_post"
        self.read = Unembedding.of(model)
        self.taken = capture(model, inputs, self._wanted(), outputs=question.read)
        assert self.taken.outputs is not None
        self.whole = self.taken.outputs
        self.along = self.read.directions(question.rows(self.read.W_U.T))  # [n, d_model]
        self.scale = self._scale() if self.read.normed else torch.ones_like(self.along[:, :1])

    def _scale(self) -> Tensor:
        if self.last not in self.taken:
            return self._at(FINAL)
        return scale_of(self._at(self.last), self.read.centred, self.model.cfg.eps)

    def _wanted(self) -> list[str]:
        whole = ("attn.hook_z", "hook_mlp_out")
        ends = {
            "component": whole, "head": whole, "neuron": ("attn.hook_z", "mlp.hook_post"),
            "position": ("attn.hook_v", "attn.hook_pattern", "hook_mlp_out"),
        }[self.by]  # fmt: skip
        names = ["hook_embed", "hook_pos_embed", *(f"blocks.{i}.{end}" for i in range(self.layers) for end in ends)]
        scale = FINAL if FINAL in self.model.hook_dict else self.last  # an RMSNorm of a bridge shows no scale
        return [n for n in names if n in self.model.hook_dict] + [scale] * self.read.normed

    def _at(self, name: str, axis: int = 1) -> Tensor:
        found = self.taken[name]
        at = 0 if found.shape[axis] == 1 else self.question.position  # the last block may compute one position alone
        return found.select(axis, at)

    def parts(self) -> Iterator[Parts]:
        for name in ("embed", "pos_embed"):
            if f"hook_{name}" in self.taken:
                yield self._written((name,), f"hook_{name}", self._at(f"hook_{name}")[:, None])
        for i in range(self.layers):
            yield from self._attention(i)
            if not self.model.cfg.attn_only:
                yield from self._mlp(i)
        if self.read.bias is not None:
            yield self._constant("final norm's bias", "ln_final", self.question.rows(self.read.W_U.T) @ self.read.bias)
        if self.read.b_U.any():
            yield self._constant("bias", "unembed", self.question.rows(self.read.b_U))

    def _attention(self, i: int) -> Iterator[Parts]:
        reads = torch.einsum("hdm,nm->nhd", self.model.W_O[i], self.along) / self.scale[:, None]
        labels = tuple(f"L{i}H{h}" for h in range(self.heads))
        if self.by == "position":
            v, pattern = self.taken[f"blocks.{i}.attn.hook_v"], self._at(f"blocks.{i}.attn.hook_pattern", 2)
            if v.shape[2] != self.heads:  # several heads share their values
                v = v.repeat_interleave(self.heads // v.shape[2], 2)
            moved = torch.einsum("nkhd,nhd->nhk", v, reads) * pattern
            names = tuple(f"{label} from {k}" for label in labels for k in range(v.shape[1]))
            yield Parts(names, f"blocks.{i}.attn.hook_z", moved.flatten(1))
        else:
            yield Parts(labels, f"blocks.{i}.attn.hook_z", (self._at(f"blocks.{i}.attn.hook_z") * reads).sum(-1))
        yield from self._bias(f"L{i} attention bias", f"blocks.{i}.hook_attn_out", self.model.b_O[i])

    def _mlp(self, i: int) -> Iterator[Parts]:
        if self.by != "neuron":
            site = f"blocks.{i}.hook_mlp_out"
            if site in self.taken:
                yield self._written((f"L{i} mlp",), site, self._at(site)[:, None])
            return
        post = self._at(f"blocks.{i}.mlp.hook_post")
        names = tuple(f"L{i}N{u}" for u in range(post.shape[1]))
        yield Parts(names, f"blocks.{i}.mlp.hook_post", post * (self.along @ self.model.W_out[i].T) / self.scale)
        yield from self._bias(f"L{i} mlp bias", f"blocks.{i}.hook_mlp_out", self.model.b_out[i])

    def _bias(self, name: str, site: str, bias: Tensor) -> Iterator[Parts]:
        if bias.any():
            yield self._written((name,), site, bias.expand(len(self.along), 1, -1))

    def _written(self, names: tuple[str, ...], site: str, written: Tensor) -> Parts:
        return Parts(names, site, torch.einsum("npd,nd->np", written, self.along) / self.scale)

    def _constant(self, name: str, site: str, values: Tensor) -> Parts:
        return Parts((name,), site, values[:, None])


def _of_hidden_units(model: HookedModel, inputs: Tensor, question: Question) -> tuple[list[Parts], Tensor]:
    """Units of the last hidden layer, of a network that is linear after it."""
    site = next(iter(hidden_sites(model)[-1:]), "")
    matrix = model.linear_rest(site) if site else None
    if not isinstance(matrix, Tensor):
        raise InterpError(
            "direct effects on logits are of transformers (ours, and wrapped bridges) and of networks that are linear after "
            f"their last hidden layer; this is a {type(model).__name__}"
        )
    taken = capture(model, inputs, site, outputs=question.read)
    assert taken.outputs is not None
    prefix = f"L{len(hidden_sites(model)) - 1}N" if isinstance(model, HookedMLP) else "unit "
    names = tuple(f"{prefix}{i}" for i in range(matrix.shape[0]))
    parts = [Parts(names, site, taken[site] * question.rows(matrix.T))]
    at_zero = model.resume(site, torch.zeros_like(taken[site][:1]))[0]
    return [*parts, Parts(("bias",), "unembed", question.rows(at_zero)[:, None])], taken.outputs
