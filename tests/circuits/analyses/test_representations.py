"""The analysis ``representations``: its numbers are those of the functions, on networks written by hand and random ones."""

from __future__ import annotations

import pytest

import interp
from circuits import excluded_loss, restricted_loss
from circuits.analyses.representations import representations
from circuits.fourier.definitions import DEFINITIONS
from interp.errors import MissingCapability
from interp.groups import representations_of
from interp.plugins.result import check_result
from tests.circuits.fourier.groups import random_network, written
from tests.interp.groups.test_representations import table_of
from tests.models import subject


def network() -> interp.Subject:
    """Logits of `sign` and `standard` of S_3."""
    table = table_of("S_3")
    characters = representations_of(table).characters
    return written(table, (6 * characters[1] + 4 * characters[2]).numpy())


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_its_metrics_are_the_losses(definition: str) -> None:
    """Of the definition asked for, and of all; the verdict says both losses."""
    one = network()
    result = representations(one, definition=definition, n_random=3)
    check_result(result)
    assert set(result.metrics["key_representations"]) == {"sign", "standard"}
    for what, function in (("restricted", restricted_loss), ("excluded", excluded_loss)):
        for other in DEFINITIONS:
            assert result.metrics[f"{what}_loss_{other}"] == pytest.approx(function(one, None, other).all)
        loss = function(one, None, definition)  # type: ignore[arg-type]
        assert [result.metrics[f"{what}_loss{part}"] for part in ("", "_train", "_test")] == [
            loss.all,
            loss.train,
            loss.test,
        ]
    assert [label for label, _ in result.verdict] == [
        "key representations", "logits explained by them", "restricted loss", "excluded loss"
    ]  # fmt: skip
    assert "no other representations are left" in result.headline


def test_its_tables_have_a_row_per_representation_and_per_neuron() -> None:
    """Of a group with four representations beside the trivial one; figures of every spectrum and of the neurons."""
    one = random_network("D_5", "transformer")
    result = representations(one)
    frame = result.tables["representations"].set_index("representation")
    assert set(frame.index) == {"sign", "freq_1", "freq_2"}
    for name in frame.index:
        assert frame.loc[name, "hidden restricted loss"] == pytest.approx(restricted_loss(one, [name], "hidden").all)
        assert frame.loc[name, "logit excluded loss (train)"] == pytest.approx(
            excluded_loss(one, [name], "logit").train
        )
    assert len(result.tables["neurons"]) == 9
    assert {"logit spectrum", "spectrum W_E", "spectrum W_U", "neurons by representation"} <= set(result.figures)
    assert frame["W_E share"].sum() == pytest.approx(1)


def test_a_written_network_is_all_explained() -> None:
    """Its logits are functions of a * b, and both representations are needed."""
    result = representations(network())
    assert result.metrics["logit_variance_explained_by_key"] == pytest.approx(1)
    assert result.metrics["logit_variance_on_characters"] == pytest.approx(1)
    assert result.metrics["least_loss_ratio_without_a_key"] > 2
    assert result.metrics["without_key_in_logits_correct"] < 36


def test_no_key_representation() -> None:
    """A network without any says so."""
    one = random_network("S_4")
    for parameter in one.model.parameters():
        parameter.data.mul_(1e-3)
    result = representations(one)
    check_result(result)
    assert result.metrics["key_representations"] == []
    assert "No representation stands out" in result.headline


def test_cyclic_groups_are_left_to_fourier_modes() -> None:
    """With the names of the analyses that describe them."""
    with pytest.raises(MissingCapability, match="Fourier modes: see fourier"):
        representations(subject("plain"))
    outcomes = interp.analyze(subject("plain"), only=["representations"])
    assert outcomes["representations"].status == "skipped"


def test_refusals() -> None:
    """Options out of their range."""
    with pytest.raises(interp.InterpError, match="n_random"):
        representations(network(), n_random=-1)
    with pytest.raises(interp.InterpError, match="tuned"):
        representations(network(), tuned=2.0)
