"""The plugin contract: signatures checked at registration, options by type, failures isolated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from interp import InterpError, Subject, analyze
from interp._util.registry import Plugin
from interp.errors import UnknownName
from interp.plugins.analysis import Analysis, Outcomes, Result, analyses, analysis
from tests.models import make, subject


@analysis("probe", needs=("weights",), summary="for the tests")
def probe(
    subject: Subject, *, top: int = 8, share: float = 0.5, mode: Literal["a", "b"] = "a", site: str | None = None,
    fast: bool = False,
) -> Result:  # fmt: skip
    return Result({"top": top, "share": share, "mode": mode, "site": site, "fast": fast})


def register(monkeypatch: pytest.MonkeyPatch, **plugins: Analysis | str) -> None:
    """Let these be the only plugins; a string is an import error."""
    group = {
        n: Plugin(n, "tests", error=p) if isinstance(p, str) else Plugin(n, "tests", value=p)
        for n, p in plugins.items()
    }
    monkeypatch.setattr("interp.plugins.analysis.load_group", lambda _: group)


def test_options_are_read_in_their_types() -> None:
    """Text from the command line becomes the option's type."""
    given = {"top": "5", "share": "1", "mode": "b", "site": "none", "fast": "true"}
    assert probe.parse(given) == {"top": 5, "share": 1.0, "mode": "b", "site": None, "fast": True}
    assert probe.parse({"site": "hook_embed"})["site"] == "hook_embed"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("top", "many", "must be int"), ("top", "2.5", "must be int"), ("top", "true", "must be int"),
     ("mode", "c", "must be one of a, b"), ("share", "x", "must be float"), ("tpo", "1", "did you mean 'top'")],
)  # fmt: skip
def test_bad_options(option: str, value: str, message: str) -> None:
    """Wrong types and unknown names are refused with both sides named."""
    with pytest.raises(InterpError, match=message):
        probe.parse({option: value})


@analysis("moved", summary="for the tests", renamed={"baseline": "n_random", "keep": "share"})
def moved(subject: Subject, *, n_random: int = 8, share: float = 0.5) -> Result:
    return Result({"n_random": n_random, "share": share})


def test_former_names_of_options_work_with_a_warning() -> None:
    """Read in the type of the present name, by the host too; both names at once are refused."""
    with pytest.warns(DeprecationWarning, match=r"option moved\.baseline is now moved\.n_random"):
        assert moved.parse({"baseline": "3"}) == {"n_random": 3, "share": 0.5}
    with pytest.warns(DeprecationWarning, match="is now moved"):
        outcome = analyze(subject("plain"), only=[moved], options={"moved": {"keep": 1, "n_random": 2}})["moved"]
    assert outcome.result is not None
    assert outcome.result.metrics == {"n_random": 2, "share": 1.0}
    assert outcome.result.context["options"] == {"n_random": 2, "share": 1.0}
    with pytest.raises(InterpError, match="given twice"):
        moved.parse({"baseline": 3, "n_random": 3})
    with (
        pytest.warns(DeprecationWarning, match="is now moved"),
        pytest.raises(InterpError, match="n_random must be int"),
    ):
        moved.parse({"baseline": "many"})


@pytest.mark.parametrize("renamed", [{"old": "tpo"}, {"top": "top"}])
def test_renamed_leads_to_present_options(renamed: dict[str, str]) -> None:
    """Checked when the plugin registers: a new name that is not an option, and a former one that still is."""
    with pytest.raises(TypeError, match="renamed maps former names"):

        @analysis("bad", summary="", renamed=renamed)
        def bad(subject: Subject, *, top: int = 1) -> Result:
            return Result()


def test_signatures_are_checked_when_a_plugin_registers() -> None:
    """Not when it runs: options need a name, a type and a default, and needs must exist."""
    with pytest.raises(TypeError, match="keyword-only"):
        analysis("bad", summary="")(lambda subject, top: Result())
    with pytest.raises(TypeError, match="capabilities are"):
        analysis("bad", needs=("magic",), summary="")


def test_a_failure_is_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that raises, one that returns nonsense, one that does not import: the others run."""

    @analysis("raises", summary="")
    def raises(subject: Subject) -> Result:
        raise RuntimeError("broken on purpose")

    @analysis("nonsense", summary="")
    def nonsense(subject: Subject) -> Result:
        return 3  # type: ignore[return-value]

    register(monkeypatch, raises=raises, nonsense=nonsense, probe=probe, gone="no such module")
    outcomes = analyze(subject("plain"))
    assert {n: o.status for n, o in outcomes.items()} == {
        "raises": "failed", "nonsense": "failed", "probe": "ok", "gone": "failed"
    }  # fmt: skip
    assert "RuntimeError: broken on purpose" in outcomes["raises"].error
    assert "returned int" in outcomes["nonsense"].error
    assert outcomes["gone"].error == "no such module"


def test_an_interrupt_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the whole run."""

    @analysis("slow", summary="")
    def slow(subject: Subject) -> Result:
        raise KeyboardInterrupt

    register(monkeypatch, slow=slow)
    with pytest.raises(KeyboardInterrupt):
        analyze(subject("plain"))


def test_an_entry_point_that_is_no_analysis_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function without the decorator, and one under another name."""
    register(monkeypatch, other=probe, plain=len)  # type: ignore[arg-type]
    good, broken = analyses()
    assert not good
    assert set(broken) == {"other", "plain"}


def test_ours_are_registered_as_a_strangers_are() -> None:
    """All found through entry points, none broken, in report order."""
    known, broken = analyses()
    assert not broken
    assert list(known)[:3] == ["genome", "feature_maps", "reduction"]
    assert list(known)[3:7] == ["phases", "performance", "curves", "progress"]
    assert set(known) == {
        "genome", "feature_maps", "sweeps", "fracture", "reduction",
        "phases", "performance", "curves", "progress", "representation_changes", "theory", "embeddings",
        "decoder_plane", "densities", "clouds",
        "fourier", "clock_or_pizza", "frequencies", "representations", "ablation", "circuit", "neurons", "components", "svd",
        "axis_spectrum", "pca", "weights",
    }  # fmt: skip


def test_skipped_with_the_reason() -> None:
    """Without a task, what needs one says how to give it; weights are analysed all the same."""
    outcomes = analyze(Subject("no task", make("plain")))
    assert outcomes["weights"].status == "ok"
    assert outcomes["fourier"].status == "skipped"
    assert "--task modular" in outcomes["fourier"].reason
    assert outcomes["densities"].reason == "needs several checkpoints of a run; this is a single one"


def test_one_name_or_a_text_with_commas() -> None:
    """One name is one analysis, not its letters; blanks and empty parts do not count."""
    assert list(analyze(subject("plain"), "weights")) == ["weights"]
    assert list(analyze(subject("plain"), only=" svd, weights,")) == ["svd", "weights"]
    assert list(analyze(subject("plain"), only=probe)) == ["probe"]
    with pytest.raises(UnknownName, match="unknown analysis 'fuorier'; did you mean 'fourier'"):
        analyze(subject("plain"), "fuorier")


def test_an_analysis_that_is_named_twice_runs_once() -> None:
    """As ``--only weights,weights`` has it."""
    runs: list[str] = []

    @analysis("noted", summary="notes that it ran")
    def noted(subject: Subject) -> Result:
        runs.append(subject.name)
        return Result()

    assert list(analyze(subject("plain"), [noted, noted, "weights", "weights"])) == ["weights", "noted"]
    assert len(runs) == 1


@pytest.mark.parametrize("only", [3, [3], [len], [Analysis], [["weights"]]])
def test_names_of_another_kind(only: Any) -> None:
    """A sentence that says how analyses are named."""
    with pytest.raises(
        InterpError, match=r"given by (name|its name or as a function decorated with @interp\.analysis)"
    ):
        analyze(subject("plain"), only)


def test_options_of_another_kind() -> None:
    """They are given by analysis and by name."""
    with pytest.raises(InterpError, match="options of svd are given by name.*got 3"):
        analyze(subject("plain"), "svd", options={"svd": 3})  # type: ignore[dict-item]


def test_a_model_is_a_subject_without_a_task() -> None:
    """Of the analyses those run that need none; an analysis by itself takes a model too."""
    outcomes = analyze(make("plain"), "weights,fourier")
    assert {n: o.status for n, o in outcomes.items()} == {"weights": "ok", "fourier": "skipped"}
    assert probe(make("plain"), top=3).metrics["top"] == 3


@pytest.mark.parametrize(
    ("given", "way"),
    [(torch.nn.Linear(2, 2), r"interp\.wrap\(module"), ("model.pt", r"interp\.load\('model\.pt'\)"),
     (Path("a.pt"), r"interp\.load\('a\.pt'\)"), (Subject, "the class Subject"), (3, "an int"),
     ({"W": torch.ones(2)}, "load weights into their module")],
)  # fmt: skip
def test_subjects_of_another_kind(given: Any, way: str) -> None:
    """The message says what is wanted, and how to get there from what was given."""
    for call in (analyze, probe, analyses()[0]["weights"]):
        with pytest.raises(InterpError, match=f"a Subject is needed, got.*{way}"):
            call(given)


def test_unknown_names_stop_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt analysis or option is an error at once."""
    with pytest.raises(UnknownName, match="did you mean 'fourier'"):
        analyze(subject("plain"), only=["fuorier"])
    with pytest.raises(UnknownName, match="did you mean 'top'"):
        analyze(subject("plain"), only=["fourier"], options={"fourier": {"tpo": 3}})


def test_results_carry_their_context_and_show_themselves() -> None:
    """dtype, device, seed, options and time are filled in by the host; text and HTML renderings hold the metrics."""
    outcomes = analyze(
        subject("plain"), only=["weights", "svd"], options={"svd": {"top": "3"}}, dtype=torch.float32, seed=5
    )
    assert isinstance(outcomes, Outcomes)
    context = outcomes["svd"].result.context  # type: ignore[union-attr]
    assert context["options"] == {"top": 3}
    assert (context["dtype"], context["device"], context["seed"]) == ("float32", "cpu", 5)
    assert "lowest_effective_rank" in repr(outcomes)
    assert "lowest_effective_rank" in outcomes._repr_html_()


def test_calling_an_analysis_checks_its_needs() -> None:
    """In a notebook the error says what is missing."""
    known, _ = analyses()
    with pytest.raises(InterpError, match="needs a task, and none is known"):
        known["fourier"](Subject("no task", make("plain")))
    result = known["weights"](subject("plain"))
    assert result.metrics["not_finite"] == 0


def test_the_subject_shows_itself() -> None:
    """As text and as an escaped HTML table."""
    one = subject("plain")
    one.warnings.append("<b>NaN</b>")
    assert "modular:p=7" in repr(one)
    assert "&lt;b&gt;NaN" in one._repr_html_()


def test_an_option_that_cannot_be_is_the_users_error() -> None:
    """A site that the model has not, asked for by an option, stops the run with its own message."""
    with pytest.raises(UnknownName, match="pca: no hook point matches 'blocks.9"):
        analyze(subject("plain"), only=["pca"], options={"pca": {"site": "blocks.9.mlp.hook_post"}})


@pytest.mark.parametrize(
    "option", ["svd.top=0", "pca.components=0", "fourier.top=-1", "ablation.n_random=-1", "neurons.tuned=2"]
)
def test_options_out_of_range(option: str) -> None:
    """Numbers that mean nothing are refused with the range."""
    name, _, setting = option.partition(".")
    key, _, value = setting.partition("=")
    with pytest.raises(InterpError, match=rf"{name}: {key} must be (at least|between)"):
        analyze(subject("plain"), only=[name], options={name: {key: value}})


def test_an_analysis_that_is_not_registered() -> None:
    """Given as itself, with its options; it stands behind the registered ones."""

    @analysis("mine", summary="says what it was told")
    def mine(subject: Subject, *, word: str = "nothing") -> Result:
        return Result({"word": word})

    outcomes = analyze(subject("plain"), only=[mine, "weights"], options={"mine": {"word": "this"}})
    assert list(outcomes) == ["weights", "mine"]
    assert outcomes["mine"].result is not None
    assert outcomes["mine"].result.metrics == {"word": "this"}
