"""Runs of a transformer in which every receiver hears its own sum of senders; what a change does not reach is not run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from circuits.discovery.edge_runs import Base, Run, Tap
from circuits.discovery.receivers import PARTS, Receiver
from interp.hooked import HookedTransformer

Rows = Mapping[int, Float[Tensor, "k hears width"]]  # by receiver, how much it hears of each sender; on the CPU


@dataclass
class HeldEdges:
    """A transformer on some inputs, whose receivers hear what senders write, or what they are replaced by.

    Attributes:
        model: the transformer.
        receivers: of `receivers.layout`.
        embedded: what the first sender writes ``[n, pos, d_model]``.
        constants: by sender, what an ablated edge carries, broadcast over ``[n, pos, d_model]``.
    """

    model: HookedTransformer
    receivers: Sequence[Receiver]
    embedded: Tensor
    constants: Sequence[Tensor]
    stages: dict[tuple[int, str], list[int]] = field(init=False)
    _sums: dict[tuple[int, int], Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.stages = {}
        for index, r in enumerate(self.receivers):
            self.stages.setdefault((r.layer, "heads" if r.part in PARTS else r.part), []).append(index)

    @classmethod
    def free(cls, model: HookedTransformer, receivers: Sequence[Receiver], tokens: Tensor) -> HeldEdges:
        """A transformer on some inputs, whose ablated edges carry nothing."""
        nothing = torch.zeros((), dtype=model.dtype, device=tokens.device)
        return cls(model, receivers, model.stream(tokens), [nothing] * receivers[-1].hears)

    def writes(self) -> list[Tensor]:
        """What each sender writes with all edges, minus what replaces it ``[n, pos, d_model]``."""
        base = self.base(torch.ones(self.receivers[-1].edges.stop))
        return [base.written[s] for s in range(len(self.constants))]

    def rows(self, kept: Shaped[Tensor, "k edges"]) -> Rows:
        """By receiver, how much it hears of each sender, of k networks; 1 for an edge that stays, 0 for one that does not."""
        kept = kept if kept.requires_grad else kept.to("cpu", self.model.dtype)
        return {i: kept[:, r.edges].unflatten(1, (r.hears, r.width)) for i, r in enumerate(self.receivers)}

    def base(self, kept: Shaped[Tensor, " edges"]) -> Base:
        """One network, with everything that it computes."""
        rows = self.rows(kept.unsqueeze(0))
        run = self.run(rows)
        assert run.outputs is not None
        written = {s: t[0] for s, t in run.written.items()}
        return Base(written, {at: t[0] for at, t in run.heads.items()}, run.outputs[0], [r[0] for r in rows.values()])

    def run(
        self,
        rows: Rows,
        base: Base | None = None,
        *,
        given: Mapping[int, Tensor] | None = None,
        taps: list[Tap] | None = None,
    ) -> Run:
        """K networks together, differentiable in ``rows``.

        Args:
            rows: what each receiver hears; of a base's receivers only those that differ.
            base: the network from which they differ; None: all receivers are given.
            given: by sender, what it writes (minus its constant) instead ``[n, pos, d_model]``.
            taps: is given the places at which the receivers take in what they hear.

        Returns:
            what differs.
        """
        k = len(next(iter(rows.values())))
        run, given = Run({}, {}, None), given or {}
        if base is None:
            run.written[0] = given.get(0, self.embedded).unsqueeze(0)
        hearing = _Hearing(self, rows, base, run, k)
        for (layer, stage), members in self.stages.items():
            if not (changed := [i for i in members if hearing.changed(i)]):
                continue
            if stage == "heads":
                self._attend(layer, changed, hearing, taps, given)
                continue
            norm = self.model.block(layer).ln2 if stage == "mlp" else self.model.ln_final
            heard = hearing.heard(changed[0])
            normed = _tapped(norm(heard), heard, norm, changed, None, taps)
            if stage == "logits":
                run.outputs = self.model.unembed(normed)
                continue
            sender = self.receivers[changed[0]].hears
            run.written[sender] = self._written(sender, given, lambda x=normed, i=layer: self.model.block(i).mlp(x))
        return run

    def _written(self, sender: int, given: Mapping[int, Tensor], written: Callable[[], Tensor]) -> Tensor:
        return given[sender].unsqueeze(0) if sender in given else written() - self.constants[sender]

    def _attend(
        self, layer: int, changed: list[int], hearing: _Hearing, taps: list[Tap] | None, given: Mapping[int, Tensor]
    ) -> None:
        """Queries, keys and values that differ, and what the heads that they belong to write."""
        block, base, run = self.model.block(layer), hearing.base, hearing.run
        attn, first = block.attention, self.receivers[self.stages[layer, "heads"][0]].positions[0]
        for part, letter in PARTS.items():
            weight, found = getattr(attn, f"W_{letter}"), {}
            for own in hearing.together(changed, part):
                heads, heard = [self.receivers[i].head for i in own], hearing.heard(own[0])
                flat = weight[heads].transpose(0, 1).flatten(1)
                taken = (block.ln1(heard) @ flat).unflatten(-1, (len(heads), -1))
                taken = taken + getattr(attn, f"b_{letter}")[heads] if attn.bias else taken
                taken = _tapped(taken, heard, block.ln1, own, weight[heads], taps)
                found |= {head: taken[..., place, :] for place, head in enumerate(heads)}
            if found:
                missing = {} if base is None else dict(enumerate(base.heads[layer, part].unbind(-2)))
                heads = [
                    found[h] if h in found else missing[h].expand_as(next(iter(found.values())))
                    for h in range(len(weight))
                ]
                run.heads[layer, part] = torch.stack(heads, -2)
        heads = sorted({self.receivers[i].head for i in changed})
        q, k, v = (_of_heads(run.heads.get((layer, p)), base, (layer, p), heads) for p in PARTS)
        z, sender = attn.read(q, k, v, first), self.receivers[changed[0]].hears
        for place, head in enumerate(heads):
            own = z[..., place, :]
            run.written[sender + head] = self._written(sender + head, given, lambda x=own, h=head: x @ attn.W_O[h])

    def constant(self, receiver: Receiver) -> Tensor:
        """What a receiver hears if all its edges are ablated: the senders' constants, and the biases of attention."""
        key = (receiver.hears, receiver.positions[1])
        if key not in self._sums:
            parts = [narrowed(c, receiver.positions) for c in self.constants[: receiver.hears]]
            layers = receiver.layer + (receiver.part == "mlp")
            biases = [self.model.block(i).attention.b_O for i in range(layers)] if self.model.config.attn_bias else []
            self._sums[key] = sum([*parts[1:], *biases], parts[0])
        return self._sums[key]

    @torch.no_grad()
    def slopes(
        self,
        kept: Float[Tensor, " edges"],
        score: Callable[[Tensor], Tensor],
        shares: Mapping[int, float] | None = None,
    ) -> Float[Tensor, " edges"]:
        """The slope of a score along each edge: of its gradient where the edge is heard, times what its sender writes.

        One forward and one backward pass, whatever the number of edges.

        Args:
            kept: how much of each edge is heard.
            score: one number of the outputs ``[1, n, pos, out]``.
            shares: by sender, how much of what it writes in this network it writes while the gradient is taken, at one more
                forward pass; what the gradient is multiplied by stays whole.

        Returns:
            one slope per edge, whether it is heard or not.
        """
        taps: list[Tap] = []
        rows = self.rows(kept.unsqueeze(0))
        whole = self.run(rows).written if shares else {}
        with torch.enable_grad():
            run = self.run(rows, given={s: share * whole[s][0] for s, share in (shares or {}).items()}, taps=taps)
            assert run.outputs is not None
            found = torch.autograd.grad(score(run.outputs), [t.taken for t in taps], allow_unused=True)
        own = {s: t[0].detach() for s, t in (whole or run.written).items()}
        result = torch.zeros(self.receivers[-1].edges.stop, dtype=torch.float64, device=self.embedded.device)
        for tap, gradient in zip(taps, found, strict=True):
            if gradient is None:
                continue
            one = self.receivers[tap.receivers[0]]
            stacked = torch.stack([narrowed(own[s], one.positions) for s in range(one.hears)])
            slopes = tap.slopes(gradient)
            if one.split:
                terms = torch.einsum("rnpd,snpd->rsp", slopes, stacked).flatten(1)
            else:
                terms = slopes.flatten(1) @ stacked.flatten(1).T
            for r, values in zip(tap.receivers, terms, strict=True):
                result[self.receivers[r].edges] += values
        return result


@dataclass
class _Hearing:
    """What receivers hear in k networks that differ from a base."""

    held: HeldEdges
    rows: Rows
    base: Base | None
    run: Run
    k: int
    sums: dict[tuple[int, int], tuple[int, Tensor]] = field(default_factory=dict)

    @property
    def soft(self) -> bool:
        return any(r.requires_grad for r in self.rows.values())

    def changed(self, index: int) -> bool:
        """Whether a receiver hears anything else than in the base."""
        if self.base is None or index in self.rows:
            return True
        row = self.base.rows[index]
        return any(s < len(row) and bool(row[s].any()) for s in self.run.written)

    def row(self, index: int) -> Tensor:
        """How much a receiver hears of every sender ``[k or 1, hears, width]``."""
        return cast(Base, self.base).rows[index].unsqueeze(0) if index not in self.rows else self.rows[index]

    def heard(self, index: int) -> Tensor:
        """The sum of constants and of what is heard of each sender ``[k, n, pos, d_model]``."""
        receiver, row, written = self.held.receivers[index], self.row(index), self.run.written
        n, d_model = len(self.held.embedded), self.held.embedded.shape[-1]
        if self.base is None and self.k == 1 and not row.requires_grad and bool((row == 1).all()):
            total = self.held.constant(receiver) + self._everything(receiver)
            return total.expand(1, n, receiver.positions[1], d_model)
        own = {s: t for s, t in written.items() if s < receiver.hears}
        if self.base is not None:
            own |= {s: t.unsqueeze(0) for s, t in self.base.written.items() if s < receiver.hears and s not in own}
        if not row.requires_grad:
            used = row.any(0).any(-1).tolist()
            own = {s: t for s, t in own.items() if used[s]}
        own = {s: narrowed(t, receiver.positions) for s, t in own.items()}
        same, total = [s for s, t in own.items() if len(t) == 1], self.held.constant(receiver)
        row = row.to(total.device)
        if same:
            total = total + _mixed(row[:, same], torch.cat([own[s] for s in same]))
        for s in own.keys() - set(same):
            total = torch.addcmul(total, row[:, s, None, :, None], own[s])
        k = max(len(row), len(total) if total.ndim == 4 else 1)
        return total.expand(k, n, receiver.positions[1], d_model)

    def _everything(self, receiver: Receiver) -> Tensor:
        """The sum of all that is written before a receiver, kept up from one receiver to the next."""
        done, total = self.sums.get(receiver.positions, (0, self.held.embedded.new_zeros(())))
        for s in range(done, receiver.hears):
            total = total + narrowed(self.run.written[s], receiver.positions)
        self.sums[receiver.positions] = receiver.hears, total
        return total

    def together(self, changed: list[int], part: str) -> list[list[int]]:
        """Receivers of one part (queries, keys, values) in groups that hear the same."""
        groups: dict[bytes | int, list[int]] = {}
        for index in changed:
            if self.held.receivers[index].part == part:
                key = index if self.soft else self.row(index).float().numpy().tobytes()  # bfloat16 has no numpy
                groups.setdefault(key, []).append(index)
        return list(groups.values())


def _tapped(
    taken: Tensor, heard: Tensor, norm: nn.Module, receivers: list[int], weights: Tensor | None, taps: list[Tap] | None
) -> Tensor:
    if taps is None:
        return taken
    # a tensor of its own: where there is no norm, others read the same stream
    taken = taken.view_as(taken) if taken.requires_grad else taken.detach().requires_grad_()
    taps.append(Tap(receivers, heard, norm, taken, weights))
    return taken


def _mixed(row: Float[Tensor, "k senders width"], written: Float[Tensor, "senders n pos d"]) -> Tensor:
    """The sum of what is heard of senders that write the same in every network ``[k, n, pos, d]``."""
    if row.shape[-1] == 1:
        return (row[..., 0] @ written.flatten(1)).unflatten(1, written.shape[1:])
    return torch.einsum("ksp,snpd->knpd", row, written)


def narrowed(tensor: Tensor, positions: tuple[int, int]) -> Tensor:
    """A stream ``[..., pos, d_model]`` at some positions, given by the first and their number; a narrower one as it is."""
    first, n = positions
    return tensor.narrow(-2, first, n) if tensor.ndim > 1 and tensor.shape[-2] > n else tensor


def _of_heads(changed: Tensor | None, base: Base | None, at: tuple[int, str], heads: list[int]) -> Tensor:
    found = cast(Base, base).heads[at].unsqueeze(0) if changed is None else changed
    return found if len(heads) == found.shape[-2] else found[..., heads, :]
