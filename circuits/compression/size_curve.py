"""Size curves: loss and accuracy of a network against the size that it is reduced to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from circuits.compression.derived import score_columns
from circuits.findings import EffectTable
from interp.scores import Scores

if TYPE_CHECKING:
    import plotly.graph_objects as go

METRICS = ("loss", "accuracy")


class SizeCurve(EffectTable):
    """A row per size, as a pandas DataFrame that also follows the protocol of `circuits.findings.Findings`.

    Columns are what measures the size (``rank``, ``components``), then ``loss, train_loss, test_loss, accuracy,
    train_accuracy, test_accuracy, correct``.
    """

    @property
    def _constructor(self) -> type[SizeCurve]:
        return SizeCurve

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]], size: str, whole: Scores) -> SizeCurve:
        """A curve of the network at several sizes.

        Args:
            rows: one per size, with the columns of `circuits.compression.derived.score_columns` among them.
            size: the column that names a row.
            whole: the scores of the unchanged network.

        Returns:
            the rows, with the clean loss and accuracy in ``attrs``.
        """
        clean = {name: value for name, value in score_columns(whole).items() if name in METRICS and value is not None}
        made = cls(pd.DataFrame(rows))
        made.attrs = {"clean": clean, "label": size}
        return made

    def figure(self) -> go.Figure:
        """Loss (on a logarithmic axis) and accuracy against the size, with the unchanged network's as dashed lines."""
        from interp.report import figures

        size, clean = self.attrs["label"], self.attrs["clean"]
        plain = self.rows.sort_values(size)
        drawn = figures.lines(
            {name: (plain[size], plain[name]) for name in clean},
            title=f"{' and '.join(clean).capitalize()} by {size}", x_title=size, y_title="all examples", log_y=True, markers=True,
        )  # fmt: skip
        for name, value in clean.items():
            figures.mark_level(drawn, value, f"clean {name}")
        return drawn
