"""A plotly figure that also draws itself in a static export of a notebook, without the internet."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from typing_extensions import override

from interp.notebook.show import as_html, bundle, renderers


class Figure(go.Figure):
    """A plotly figure whose HTML needs neither a frontend with plotly nor the internet."""

    @override
    def _ipython_display_(self) -> None:
        if "browser" in str(renderers().default):  # IPython in a terminal
            super()._ipython_display_()
            return
        from IPython.display import display

        display(bundle(self), raw=True)

    @override
    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return bundle(self)

    @override
    def _repr_html_(self) -> str:
        return as_html([self])
