"""Networks written by hand that compute with chosen frequencies."""

from __future__ import annotations

import math

import torch

from interp import GroupComposition, HookedMLP, MLPConfig, ModularArithmetic, Subject
from interp.tasks import Task
from tests.interp.tasks.test_groups import cyclic


def written(task: Task, keys: list[int]) -> Subject:
    """An MLP written by hand: cosines in, squares of sums, cos(w_k (a + b - c)) out.

    (cos x + cos y)^2 - (cos x)^2 - (cos y)^2 = 2 cos x cos y, so square units compute the products of both operands' waves,
    and the unembedding combines cos cos - sin sin = cos(x + y) and sin cos + cos sin = sin(x + y).
    """
    structure = task.cyclic()
    assert not isinstance(structure, str)
    n, symbols = structure.order, task.n_symbols

    def wave(exponents: torch.Tensor, function: object) -> torch.Tensor:
        angle = 2 * math.pi * torch.outer(torch.tensor(keys).double(), exponents.double()) / n
        return function(angle) * (exponents >= 0)  # type: ignore[operator]

    tables_ = [torch.cat([wave(e, torch.cos), wave(e, torch.sin)]).T for e in (structure.left, structure.right)]
    k, m = len(keys), 2 * len(keys)
    first, last = torch.zeros(2 * m, 0), torch.zeros(0, task.n_outputs)
    cos_c, sin_c = wave(structure.out, torch.cos), wave(structure.out, torch.sin)
    for i in range(k):
        for left, right, out in (
            (i, i, cos_c[i]), (k + i, k + i, -cos_c[i]), (i, k + i, sin_c[i]), (k + i, i, sin_c[i]),
        ):  # fmt: skip
            column = torch.zeros(2 * m, 3, dtype=torch.float64)
            column[left, :2] = 1
            column[m + right, 0], column[m + right, 2] = 1, 1
            first = torch.cat([first, column], 1)
            last = torch.cat([last, torch.outer(torch.tensor([1.0, -1.0, -1.0]).double(), out)])
    config = MLPConfig(
        (first.shape[1],), task.n_outputs, d_vocab=symbols, d_embed=m, embedding="per_operand", act_fn="square",
        bias=False, unembed_bias=False,
    )  # fmt: skip
    weights = {"embed.W_E": torch.stack(tables_), "layers.0.W": first, "unembed.W_U": last}
    model = HookedMLP.from_weights(config, {k: w.double() for k, w in weights.items()})
    return Subject("written", model, task.fit(model))


TASKS = {
    "add": ModularArithmetic(13, "add", 0.5), "subtract": ModularArithmetic(13, "subtract", 0.5),
    "even": ModularArithmetic(12, "add", 0.5), "multiply": ModularArithmetic(13, "multiply", 0.5),
    "divide": ModularArithmetic(13, "divide", 0.5),
    "renamed group": GroupComposition(cyclic(12, [5, 3, 1, 4, 0, 8, 2, 11, 10, 9, 7, 6]), 0.5),
}  # fmt: skip
