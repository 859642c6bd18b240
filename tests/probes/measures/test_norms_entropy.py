"""Norms and entropies of whole models, by plain loops over their matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interp import InterpError, Subject
from probes.entropy import uniform_entropy
from probes.measures.entropy import entropies
from probes.measures.norms import spectral_norms, weight_norm
from tests.models import LSTMS, MLPS, TRANSFORMERS, make


def single_matrices(one: Subject) -> dict[str, np.ndarray]:
    """Every matrix of a model, by plain indexing."""
    arrays = {n: w.detach().numpy() for n, w in one.model.named_parameters() if not n.split(".")[-1].startswith("b_")}
    flat = {n: a for n, a in arrays.items() if a.ndim == 2}
    return flat | {f"{n}[{i}]": m for n, a in arrays.items() if a.ndim == 3 for i, m in enumerate(a)}


@pytest.mark.parametrize("name", [*TRANSFORMERS, *MLPS, *LSTMS])
def test_norms_and_entropy_of_every_model(name: str) -> None:
    """Every parameter and matrix, and what they come to together."""
    one = Subject(name, make(name))
    weights = {n: w.detach().numpy() for n, w in one.model.named_parameters()}
    norms, spectra, entropy = weight_norm(one), spectral_norms(one), entropies(one)
    total, each = sum((w**2).sum() for w in weights.values()), {n: np.linalg.norm(w) for n, w in weights.items()}
    assert norms == pytest.approx({"all": math.sqrt(total), "all squared": total, **each})
    alone = single_matrices(one)
    assert spectra == pytest.approx({n: np.linalg.norm(m, 2) for n, m in alone.items()})
    by_loop = {n: -sum(abs(x) * math.log(abs(x)) for x in m.ravel()) for n, m in alone.items()}
    assert entropy == pytest.approx({"all": sum(by_loop.values()), **by_loop})


def test_refusals_of_weights() -> None:
    """A width that is none; one NaN makes its own matrix NaN and leaves the others."""
    for a in (0.0, -1.0, math.nan):
        with pytest.raises(InterpError, match="above 0"):
            uniform_entropy(2, 2, a)
    one = Subject("NaN", make("plain"))
    one.model.W_E.detach()[0, 0] = math.nan
    for measure in (weight_norm, entropies, spectral_norms):
        found = measure(one)
        assert math.isnan(found["embed.W_E"]), measure.name
        assert math.isfinite(found["unembed.W_U"]), measure.name
