"""Tables in the order of the group: every pair in its place, and groups that are not cyclic."""

from __future__ import annotations

import pytest
import torch

from interp import GroupComposition, HookedMLP, MLPConfig, Subject
from interp.errors import MissingCapability
from probes import cyclic_tables as tables
from tests.interp.tasks.test_groups import symmetric
from tests.probes.by_hand import TASKS, written


def test_tables_put_every_pair_in_its_place() -> None:
    """rows[i, j] is the pair whose operands have exponents i and j."""
    task = TASKS["multiply"].fit(written(TASKS["multiply"], [1]).model)
    structure = task.cyclic()
    assert not isinstance(structure, str)
    pairs = task.pairs[tables.rows(task)]
    i = torch.arange(12)
    assert torch.equal(structure.left[pairs[..., 0]], i[:, None].expand(12, 12))
    assert torch.equal(structure.right[pairs[..., 1]], i.expand(12, 12))
    assert torch.equal(structure.out[tables.columns(task)], i)


def test_a_group_that_is_not_cyclic_says_so() -> None:
    """S_3 has no Fourier modes of Z_6, and the reason is told."""
    model = HookedMLP(MLPConfig((8,), 6, d_vocab=6, d_embed=4)).init_weights(0)
    one = Subject("S_3", model, GroupComposition(symmetric(3), 0.5).fit(model))
    assert "not abelian" in one.lacks(("cyclic",))[0]
    with pytest.raises(MissingCapability, match="irreducible representations"):
        tables.logit_table(one)
