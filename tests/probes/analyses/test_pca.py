"""The analysis `pca` against numpy's SVD of the activations."""

from __future__ import annotations

import numpy as np
import pytest

from probes.analyses.pca import pca
from tests.models import subject


def test_pca_analysis_by_numpy() -> None:
    """The reported shares are those of the activations at the readout."""
    one = subject("plain")
    result = pca(one, site="blocks.0.mlp.hook_post")
    _, cache = one.model.run_with_cache(one.require_task().inputs)
    values = cache["blocks.0.mlp.hook_post"][:, -1].numpy()
    s = np.linalg.svd(values - values.mean(0), compute_uv=False) ** 2
    row = result.tables["components"].iloc[0]
    assert [row["PC 0"], row["PC 1"]] == pytest.approx((s / s.sum())[:2].tolist())
