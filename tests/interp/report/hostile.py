"""A report in which every text that comes from a file, a user or a plugin tries to be a script."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

import interp
from interp.plugins.analysis import Outcome, Outcomes, Result
from interp.report import figures
from interp.subject import Provenance
from tests.models import make

CALL = "document.documentElement.setAttribute('data-owned','1')"
EVIL = f"</script><script>{CALL};alert(1)</script><img src=x onerror={CALL}>\"'&amp;<b>"


def subject() -> interp.Subject:
    """Its name, its warning, and all that the file says."""
    provenance = Provenance(
        path=EVIL, layout=EVIL, key=EVIL, extra_tensors=(EVIL,), unknown_classes=(EVIL,), config={EVIL: EVIL},
        notes=(EVIL,),
    )  # fmt: skip
    return interp.Subject(EVIL, make("shared concat"), provenance=provenance, warnings=[EVIL])


def outcomes() -> Outcomes:
    """An analysis that ran, one that failed and one that was skipped, with evil names, texts, figures and tables."""
    figure = go.Figure(go.Scatter(x=[1, 2], y=[1, 2], name=EVIL, text=[EVIL, EVIL], hovertext=EVIL))
    figures.style(figure, EVIL, EVIL, EVIL)
    figure.add_annotation(text=EVIL, x=1, y=1)
    result = Result(
        {EVIL: EVIL, "list": [EVIL]}, {EVIL: pd.DataFrame({EVIL: [EVIL]})}, {EVIL: figure}, [EVIL], EVIL, lead=EVIL
    )
    result.context = {"options": {EVIL: EVIL}, "dtype": EVIL, "device": EVIL, "seed": 0, "seconds": 0.0}
    return Outcomes(
        good=Outcome("good", "ok", EVIL, result),
        bad=Outcome("bad", "failed", EVIL, error=EVIL, detail=EVIL),
        idle=Outcome("idle", "skipped", EVIL, reason=EVIL),
    )
