"""The logit difference of two answers, where the task reads them or at a position of each input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from circuits.answers import Answers
from circuits.metric import Metric
from interp.errors import InterpError, kind_of


@dataclass(frozen=True, eq=False)
class LogitDiff(Metric):
    """Logit difference: the correct answer's logit minus a wrong one's, by default minus the largest of all others.

    Args:
        right: indices of answers ``[n]``; by default the labels of the task.
        wrong: indices of answers ``[n]``; in patching by default the corrupted inputs' labels.
        position: where each input's answer is read ``[n]``, for prompts of different lengths; negative ones count from the end.
            By default where the task reads it, and at the last position without a task.

    Wang et al. 2022, Interpretability in the Wild (IOI), https://arxiv.org/abs/2211.00593; why it suits patching: Zhang and
    Nanda 2023, https://arxiv.org/abs/2309.16042.
    """

    right: Tensor | None = None
    wrong: Tensor | None = None
    position: Tensor | None = None
    name = "logit_diff"

    @property
    @override
    def everywhere(self) -> bool:
        return self.position is not None

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs) if self.position is None else self._read(outputs, self.position, rows)
        right = self._indices(self.right, answers.required(self.name) if self.right is None else None, logits, rows)
        own = logits.gather(-1, right).squeeze(-1).double()
        wrong = self.wrong if self.wrong is not None else answers.wrong
        if wrong is None:
            return own - logits.scatter(-1, right, -torch.inf).amax(-1).double()
        return own - logits.gather(-1, self._indices(wrong, None, logits, rows)).squeeze(-1).double()

    def _read(self, outputs: Tensor, position: Tensor, rows: slice) -> Tensor:
        """Logits ``[k, n, width]`` of outputs ``[k, n, pos, width]``, each input's at its own position."""
        if not isinstance(position, Tensor) or position.ndim != 1 or position.is_floating_point():
            raise InterpError(
                f"logit_diff reads at a position per input, a tensor of integers [n], got {kind_of(position)}"
            )
        own, (n, n_pos) = position[rows].to(outputs.device), outputs.shape[1:3]
        if outputs.ndim != 4 or len(own) != n:
            raise InterpError(
                f"logit_diff reads {len(own)} positions in outputs {list(outputs.shape[1:])}; it needs [{len(own)}, pos, out]"
            )
        if len(outside := own[(own >= n_pos) | (own < -n_pos)]):
            raise InterpError(f"logit_diff: position {int(outside[0])} among {n_pos}")
        return outputs[:, torch.arange(n, device=own.device), own]

    def _indices(self, given: Tensor | None, otherwise: Tensor | None, logits: Tensor, rows: slice) -> Tensor:
        indices = given if given is not None else otherwise
        assert indices is not None
        if not isinstance(indices, Tensor):
            raise InterpError(f"logit_diff takes a tensor of indices of answers [n], got {kind_of(indices)}")
        if indices.ndim != 1 or len(indices[rows]) != logits.shape[1] or indices.is_floating_point():
            raise InterpError(
                f"logit_diff takes an answer's index per input, got {indices.dtype} {list(indices.shape)}"
            )
        if len(outside := indices[(indices >= logits.shape[-1]) | (indices < 0)]):
            one = logits.shape[-1] == 1
            hint = "; a network with one output has no other answer to compare with: metric='loss'" if one else ""
            raise InterpError(f"logit_diff: an answer of {int(outside[0])} among {logits.shape[-1]} outputs{hint}")
        return indices[rows].to(logits.device).expand(logits.shape[:2]).unsqueeze(-1)

    @override
    def __repr__(self) -> str:
        names = {"right": "right=answers of", "wrong": "wrong=answers of", "position": "position of"}
        given = [f"{text} {len(own)} inputs" for n, text in names.items() if (own := getattr(self, n)) is not None]
        return f"LogitDiff({', '.join(given)})"
