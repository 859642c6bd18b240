"""The analyses `similarity` and `representation_changes`."""

from __future__ import annotations

import interp
from interp.plugins.joint import joint_analyses
from interp.plugins.result import check_result
from tests.conftest import DEMO


def test_representation_changes() -> None:
    """On the demo: the change, its interval, and the step at which test accuracy arrives."""
    (outcome,) = interp.analyze(
        interp.load(DEMO), "representation_changes", options={"representation_changes": {"n_inputs": 256, "draws": 3}}
    ).values()
    found = outcome.result
    assert found is not None
    assert 2400 <= found.metrics["largest_change_at"] <= 3600
    assert "changes most at step" in found.headline
    assert "test accuracy stays" in found.headline
    assert found.claims[0].verdict == "in part"
    assert list(found.tables["changes"]["step"]) == found.metrics["changes_at"]


def test_similarity_of_members() -> None:
    """Every pair beside its null, with a claim; what the members were trained on is found by itself."""
    run = interp.train("addition:p=5", "mlp:hidden=16,d_embed=3", steps=20, members=3, device="cpu")
    known, broken = joint_analyses()
    assert not broken
    result = known["similarity"]({str(i): run.subject(i) for i in range(3)}, draws=3)
    check_result(result)
    assert result.metrics["pairs"] == len(result.tables["pairs"]) == 3
    assert set(result.figures) == {"map layers.0.hook_post", "embedding"}
    assert result.claims[0].figure == "map layers.0.hook_post"
