"""Things that show themselves in a notebook: HTML and figures, one after the other."""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from interp.notebook import embedded

if TYPE_CHECKING:
    import plotly.graph_objects as go

    Piece = str | go.Figure

MIME = "application/vnd.plotly.v1+json"


class Shown:
    """What consists of HTML and figures, and shows both wherever a notebook is read.

    IPython (JupyterLab, VS Code, nbconvert) gets every piece as an output of its own, figures by their MIME type and, for
    a page without plotly, as HTML; marimo stacks them; everything else gets one piece of HTML.
    """

    def _pieces(self) -> Sequence[Piece]:
        """HTML and figures, in order."""
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for i, piece in enumerate(self._pieces()):
            if isinstance(piece, str):
                display({"text/html": piece, "text/plain": repr(self) if i == 0 else ""}, raw=True)
            else:
                display(bundle(piece), raw=True)

    def _repr_html_(self) -> str:
        return as_html(self._pieces())

    def _display_(self) -> Any:
        marimo = import_module("marimo")  # who calls this is marimo
        return marimo.vstack([marimo.Html(p) if isinstance(p, str) else p for p in self._pieces()])


def as_html(pieces: Sequence[Piece]) -> str:
    """All pieces as one piece of HTML; the first figure carries plotly.js."""
    return "\n".join(_as_html(pieces))


def _as_html(pieces: Sequence[Piece]) -> Iterator[str]:
    carry = True
    for piece in pieces:
        if isinstance(piece, str):
            yield piece
            continue
        yield embedded.div(embedded.prepared(piece), carry)
        carry = False


def bundle(figure: go.Figure) -> dict[str, Any]:
    """A figure for a notebook.

    Args:
        figure: of plotly.

    Returns:
        by MIME type: plotly's own, which JupyterLab, VS Code and marimo draw; and HTML for a static page. A renderer that
        the user has chosen is obeyed instead.
    """
    plain = embedded.prepared(figure)
    chosen = _chosen_renderer()
    if chosen is not None:
        return renderers()._build_mime_bundle(plain, chosen)
    return {
        MIME: plain,
        "text/html": embedded.div(plain, carry=_Session.carries()),
        "text/plain": embedded.title_of(plain),
    }


def _chosen_renderer() -> str | None:
    """The renderer of plotly that the user asked for; None if it is the one that plotly chose itself."""
    now = str(renderers().default or "")
    if os.environ.get("PLOTLY_RENDERER"):
        return now or None
    return None if "plotly_mimetype" in now.split("+") or now in ("", "browser", "vscode", "jupyterlab") else now


def renderers() -> Any:
    """Plotly's renderers."""
    import plotly.io

    return plotly.io.renderers


class _Session:
    """Which cell's output carries plotly.js: the first that drew a figure, every time that it runs."""

    drawn: tuple[str | None, int | None] | None = None  # the cell, and its execution

    @classmethod
    def carries(cls) -> bool:
        now = (_cell(), getattr(_shell(), "execution_count", None))
        again = cls.drawn is not None and now[0] is not None and now[0] == cls.drawn[0] and now[1] != cls.drawn[1]
        if cls.drawn is not None and not again:
            return False
        cls.drawn = now
        return True


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _cell() -> str | None:
    """The identity of the cell that runs, where the frontend tells it."""
    parent = getattr(_shell(), "get_parent", dict)() or {}
    metadata = parent.get("metadata") or {}
    return metadata.get("cellId") or metadata.get("cell_id")


def escaped(text: object) -> str:
    """A text for HTML."""
    return html.escape(str(text))


def fold(summary: str, inside: str | Any, opened: bool = False) -> str:
    """HTML behind a line that opens it.

    Args:
        summary: the line, a plain text.
        inside: HTML.
        opened: whether it is open at first.

    Returns:
        a ``details`` element; nothing if there is nothing inside.
    """
    if not inside:
        return ""
    return f"<details{' open' if opened else ''}><summary>{html.escape(summary)}</summary>{inside}</details>"
