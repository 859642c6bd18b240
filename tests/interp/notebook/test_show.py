"""What a notebook is given: figures by MIME and as HTML that needs no network, tables that say what they leave out."""

from __future__ import annotations

import copy
import html
import pickle
import re

import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest

import interp
from interp import Result
from interp.notebook import embedded, network, show, tables
from interp.notebook.figure import Figure
from interp.plugins.claim import Claim
from interp.plugins.outcome import Outcome, Outcomes
from interp.report.comparison import Comparison

EVIL = "</script><script>alert(1)</script>"
ELSEWHERE = re.compile(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|import\s*\(?["']https?:""")


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that has drawn nothing yet, where plotly chose its renderer itself."""
    monkeypatch.setattr(show._Session, "drawn", None)
    monkeypatch.delenv("PLOTLY_RENDERER", raising=False)
    monkeypatch.setattr(plotly.io.renderers, "default", "plotly_mimetype")


def bars(title: str = "bars") -> go.Figure:
    return interp.figures.bars([1, 2], [3.0, 4.0], title=title, x_title="x", y_title="y")


def test_a_figure_by_mime_and_as_html() -> None:
    """The first figure carries plotly.js, the second does not; neither asks another machine for anything."""
    first, second = show.bundle(bars(EVIL)), show.bundle(go.Figure())
    assert set(first) == {show.MIME, "text/html", "text/plain"}
    assert first[show.MIME]["data"][0]["type"] == "bar"
    assert first[show.MIME]["layout"]["font"]["color"] == embedded.COLOUR
    own = first["text/html"].replace(embedded.plotly_script(), "")
    assert len(own) < 10_000 < 1_000_000 < len(first["text/html"]) < 2_500_000
    assert embedded.plotly_script() not in second["text/html"]
    assert not ELSEWHERE.search(own)
    assert EVIL not in first["text/html"]
    assert html.escape(EVIL) in first["text/html"]


def test_the_cell_that_carries_plotly_carries_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is run again, its former output is gone."""

    def carries(cell: str | None, execution: int) -> bool:
        shell = type(
            "Shell", (), {"get_parent": lambda _: {"metadata": {"cellId": cell}}, "execution_count": execution}
        )()
        monkeypatch.setattr(show, "_shell", lambda: shell)
        return show._Session.carries()

    assert [carries("a", 1), carries("a", 1), carries("b", 2), carries("a", 3), carries("b", 4), carries(None, 5)] == [
        True, False, False, True, False, False,
    ]  # fmt: skip


def test_a_chosen_renderer_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotly.io.renderers, "default", "json")
    assert set(show.bundle(bars())) == {"application/json"}
    monkeypatch.setattr(plotly.io.renderers, "default", "plotly_mimetype")
    monkeypatch.setenv("PLOTLY_RENDERER", "plotly_mimetype")
    assert set(show.bundle(bars())) == {show.MIME}


def test_figures_are_plotly_figures() -> None:
    """They are copied, sent to another process and drawn as any other."""
    figure = bars()
    assert isinstance(figure, Figure)
    for one in (pickle.loads(pickle.dumps(figure)), copy.deepcopy(figure)):
        assert isinstance(one, Figure)
        assert one == figure
    assert figure._repr_html_().count("interp-plotly") == 2  # what is carried, and who looks for it


def rich() -> Result:
    """A result with everything."""
    claim = Claim(f"It adds {EVIL}", "in part", "a test", "7 of 9", "all")
    table = pd.DataFrame({"name": [EVIL] * 56, "value": range(56)})
    figures = {"first": bars(), "lead": bars("lead")}
    return Result({EVIL: 1.5}, {"long": table}, figures, [EVIL], f"found {EVIL}", "lead", claims=[claim])


def test_a_result_shows_headline_claims_figures_and_tables() -> None:
    """Names are text; the lead figure comes first, and a long table says so."""
    head, first, second, details = rich()._pieces()
    assert (first.layout.title.text, second.layout.title.text) == ("lead", "bars")
    assert "12 of 56 rows" in details
    assert "in part" in head
    whole = rich()._repr_html_()
    assert EVIL not in whole
    assert "cdn" not in whole.replace(embedded.plotly_script(), "")
    assert whole.count('class="interp-plotly"') == 1


def test_all_outcomes_are_a_short_page() -> None:
    """A line for each; no figure among them, and what was skipped in one line."""
    outcomes = Outcomes(one=Outcome("one", "ok", result=rich()), two=Outcome("two", "skipped", reason=EVIL))
    outcomes["bad"] = Outcome("bad", "failed", error=EVIL)
    shown = outcomes._repr_html_()
    assert len(shown) < 20_000
    assert "interp-figure" not in shown
    for text in ("1 skipped", "failed bad", "2 figures: first, lead", "It adds"):
        assert text in shown
    assert EVIL not in shown
    assert "<details open" not in shown


def test_effects_have_signs_and_bars() -> None:
    """A bar reaches from the middle as far as its share of the largest; rounding is shown as 0."""
    frame = pd.DataFrame(
        {"component": ["a", "b", "c", "d"], "change": [2.0, -1.0, 1e-15, float("nan")], "n": [1, 2, 3, 4]}
    )
    shown = tables.table(frame)
    assert re.findall(r">([+-]?[\d.e-]+ )<span", shown) == ["+2 ", "-1 ", "0 "]
    assert "#3b78c2 50.0%,#3b78c2 100.0%" in shown
    assert "#e07b39 25.0%,#e07b39 50.0%" in shown
    assert tables.effects_of(frame) == ["change"]
    many = tables.table(
        pd.DataFrame({"component": range(500), "loss_change": [float(-i) for i in range(500)]}), largest=True
    )
    assert "12 of 500 rows, largest loss change first" in many
    assert many.count("<tr") == 13
    assert "-499" in many
    assert "500 of" not in tables.table(frame)


def test_a_network_as_boxes() -> None:
    """Parts, what they are, and the shapes of their weights; of many layers the first and the last."""
    shape = {"d_vocab": 6, "d_vocab_out": 5, "n_ctx": 3, "d_mlp": 16, "normalization": "LN"}
    one, deep = (
        interp.HookedTransformer(interp.TransformerConfig(n, 8, 2, 4, **shape)).init_weights(seed=0)  # type: ignore[arg-type]
        for n in (1, 9)
    )
    shown = interp.Subject(EVIL, one)._repr_html_()
    for text in ("2 heads of 4, causal", "16 neurons, relu", "W_Q 2 x 8 x 4", "unembed", "<summary>config"):
        assert text in shown
    assert EVIL not in shown
    assert network.line(one).startswith(
        "embed (6 tokens) > pos_embed (3 positions) > blocks.0.ln1 > blocks.0.attn (2 heads"
    )
    assert "blocks.1 (2 heads of 4, causal; 16 neurons, relu) > 5 more > blocks.7" in network.line(deep)
    assert ">attn.W_Q 2 x 8 x 4<" in network.drawing(deep)
    small = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    assert network.line(small) == "embed (5 tokens) > layers.0 (relu) > unembed (5 outputs)"


def test_a_comparison_has_differences() -> None:
    """As numbers, with their sign; metrics that are not numbers stand apart."""
    networks = {
        name: interp.HookedMLP(interp.MLPConfig((8,), 5, d_in=4)).init_weights(seed=0) for name in ("one", "other")
    }
    found = {"one": Result({"loss": 2.0, "keys": [1, 2]}), "other": Result({"loss": 0.5, "keys": [3]})}
    outcomes = {name: Outcomes(a=Outcome("a", "ok", result=result)) for name, result in found.items()}
    compared = Comparison({n: interp.Subject(n, m) for n, m in networks.items()}, outcomes, {}, {})
    frame = compared.differences
    assert frame.to_dict("records") == [
        {"analysis": "a", "metric": "loss", "one": 2.0, "other": 0.5, "difference": -1.5}
    ]
    shown = compared._repr_html_()
    assert ">-1.5</td>" in shown
    assert "1 metrics that are not numbers" in shown
