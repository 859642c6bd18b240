"""The analysis `svd`: which matrices are decomposed."""

from __future__ import annotations

import torch

from interp.plugins.analysis import Result
from probes.analyses.svd import svd
from tests.models import subject


def test_the_analyses_leave_biases_and_broken_matrices_out() -> None:
    """Biases are not matrices; a matrix with NaN is named, and the others are decomposed."""
    one = subject("layer norm")
    with torch.no_grad():
        one.model.W_U[0, 0] = torch.nan
    result: Result = svd(one)
    matrices = list(result.tables["matrices"]["matrix"])
    assert not any("b_" in name for name in matrices)
    assert "unembed.W_U" not in matrices
    assert any("unembed.W_U" in note for note in result.notes)
