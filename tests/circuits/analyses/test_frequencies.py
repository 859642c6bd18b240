"""The analysis ``frequencies``: its numbers are those of the functions, on networks written by hand and random ones."""

from __future__ import annotations

import pytest

from circuits import by_frequency, excluded_loss, restricted_loss
from circuits.analyses.frequencies import frequencies
from circuits.fourier.definitions import DEFINITIONS
from interp import Subject
from interp.plugins.result import check_result
from tests.models import make, subject
from tests.probes.by_hand import TASKS, written


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_its_metrics_are_the_losses(definition: str) -> None:
    """Of the definition asked for; the table has all three, and the verdict says both losses."""
    one = written(TASKS["add"], [1, 2])
    result = frequencies(one, definition=definition, n_random=3)
    check_result(result)
    kept, removed = restricted_loss(one, None, definition), excluded_loss(one, None, definition)  # type: ignore[arg-type]
    for what, loss in (("restricted", kept), ("excluded", removed)):
        assert [result.metrics[f"{what}_loss{part}"] for part in ("", "_train", "_test")] == [
            loss.all,
            loss.train,
            loss.test,
        ]
        assert result.metrics[f"{what}_correct"] == loss.correct
        assert f"{what} loss {loss.all:.3g}" in result.headline.lower()
    assert sorted(result.metrics["key_frequencies"]) == [1, 2]
    assert len(result.tables["definitions"]) == 8
    assert result.tables["by frequency"].equals(by_frequency(one))
    assert [label for label, _ in result.verdict] == ["restricted loss", "excluded loss"]
    sets = result.tables["removed"]
    own = sets[(sets["where"] == "logits") & (sets["removed"] == "key")]["correct"].item()
    assert result.metrics["without_key_in_logits_correct"] == own < kept.correct


def test_no_key_frequency() -> None:
    """A network without any says so."""
    noise = Subject("noise", make("plain", 3, scale=0.2), subject("plain").task)
    result = frequencies(noise)
    assert result.metrics["key_frequencies"] == []
    assert "No frequency stands out" in result.headline


def test_the_former_option() -> None:
    """random_sets is n_random, and 0 leaves random sets out; a definition that does not apply is refused."""
    one = written(TASKS["add"], [1, 2])
    with pytest.warns(DeprecationWarning, match=r"frequencies\.n_random"):
        result = frequencies(one, random_sets=0)
    assert set(result.tables["removed"]["removed"]) == {"key"}
    assert result.metrics["without_random_in_logits_correct"] is None
    assert "no other frequencies" in result.headline
