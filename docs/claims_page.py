"""The page of claims: a row per claim with the figure behind it, which a small script filters; ``conf.py`` writes it."""

from __future__ import annotations

import html
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from claims_table import decided_by, size
from pictures import picture

FIGURES = "_static/claims"  # beside the page
COLUMNS = ("claim", "source", "here", "verdict", "figure")
Row = Mapping[str, Any]


def write(rows: Iterable[Row], classes: Mapping[str, tuple[str, ...]], folder: Path) -> str:
    """The page in Markdown, and beside it the figures that its rows name.

    Args:
        rows: of `claims.rows`.
        classes: the verdicts of each class, in the order in which they are counted.
        folder: of the documentation; figures go to ``_static/claims`` in it.
    """
    rows, shown = list(rows), {}
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for row in rows:
        if row.get("figure") and (row["notebook"], row["figure"]) not in shown:
            name = f"{FIGURES}/{row['notebook']}-{row['figure']}.png"
            (folder / name).write_bytes(content := picture(row["notebook"], tag=row["figure"]))
            shown[row["notebook"], row["figure"]] = name, *struct.unpack(">II", content[16:24])  # PNG's header
    sources = dict.fromkeys((row["notebook"], row["title"], row["source"]) for row in rows)
    parts = [TOP, _raw(_form(rows, sources, classes))]
    for notebook, title, source in sources:
        own = [_row(row, shown.get((notebook, row.get("figure")))) for row in rows if row["notebook"] == notebook]
        head = "".join(f'<th role="columnheader">{name}</th>' for name in COLUMNS)
        top = f'<table class="claims" role="table">\n<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        table = "\n".join([top, '<tbody role="rowgroup">', *own, "</tbody></table>"])
        parts += [f"## {title}", f"{source}. Notebook: [{notebook}](notebooks/{notebook}.ipynb).", _raw(table)]
    return "\n\n".join(parts) + "\n"


def _raw(text: str) -> str:
    return f"```{{raw}} html\n{text}\n```"


def _form(rows: list[Row], sources: Iterable[tuple[str, str, str]], classes: Mapping[str, tuple[str, ...]]) -> str:
    """The filter, which the script unhides, and the counts, whose numbers it renews."""
    verdicts = list(dict.fromkeys(v for own in classes.values() for v in own))
    fields = {
        "source": [(notebook, title) for notebook, title, _ in sources],
        "class": [(name, name) for name in classes],
        "verdict": [(name, name) for name in verdicts],
    }
    chosen = "".join(
        f'<label>{name} <select name="{name}"><option value="">all</option>'
        + "".join(f'<option value="{_text(value)}">{_text(said)}</option>' for value, said in options)
        + "</select></label>\n"
        for name, options in fields.items()
    )
    count = Counter((row["class"], row["verdict"]) for row in rows)
    counts = "; ".join(
        _number(sum(n for (own, _), n in count.items() if own == name), name)
        + (f" ({', '.join(_number(count[name, v], name, v) for v in own)})" if len(own) > 1 else "")
        for name, own in classes.items()
    )
    return f"""<link rel="stylesheet" href="_static/claims.css">
<script src="_static/claims.js" defer></script>
<form id="claims-filter" role="search" aria-label="claims" hidden>
{chosen}<label>words <input type="search" name="words" autocomplete="off" spellcheck="false"></label>
<button type="reset">show all</button>
</form>
<p id="claims-count" role="status"><b>{len(rows)}</b> of {len(rows)} claims: {counts}.</p>"""


def _number(count: int, name: str, verdict: str = "") -> str:
    place = f' data-verdict="{verdict}"' if verdict else ""
    return f'<span class="counted"><b data-class="{name}"{place}>{count}</b> {verdict or name}</span>'


def _row(row: Row, figure: tuple[str, int, int] | None) -> str:
    """A claim, its anchor, and everything that stands behind its verdict."""
    anchor = f"{row['notebook']}-{row['name']}"
    command = f"<code>{_text(row['command']).replace('/', '/<wbr>')}</code>"
    cells = {
        "claim": f'{_text(row["claim"])} <a class="anchor" href="#{anchor}" aria-label="link to this claim">#</a>'
        + f"<details><summary>criterion</summary>{_text(decided_by(row))}</details>"
        + _small(f'<a href="notebooks/{row["notebook"]}.html">notebook</a>', command),
        "source": _text(row["reported"]) + _small(_text(row.get("where", ""))),
        "here": _text(row["here"]) + _small(_text(row["note"]), size(row)),
        "verdict": f'<b class="verdict">{_text(row["verdict"])}</b>'
        + _small(row["class"] if row["class"] != row["verdict"] else ""),
        "figure": "<small>no figure</small>",
    }
    if figure:
        path, width, height = figure
        about = f'width="{width}" height="{height}" loading="lazy" alt="figure: {_text(row["claim"])}"'
        cells["figure"] = f'<a href="{path}"><img src="{path}" {about}></a>'
    said = "\n".join(f'<td role="cell" data-label="{name}">{cell}</td>' for name, cell in cells.items())
    data = f'data-source="{row["notebook"]}" data-class="{row["class"]}" data-verdict="{row["verdict"]}"'
    return f'<tr role="row" id="{anchor}" {data}>\n{said}\n</tr>'


def _small(*parts: str) -> str:
    """Parts that are not empty, a line each."""
    return "".join(f"<small>{part}</small>" for part in parts if part)


def _text(words: str) -> str:
    """Words on one line, as HTML shows them."""
    return html.escape(" ".join(words.split()))


TOP = """# Which claims hold

Every quantitative claim of the sources, facts about the files that they published, and questions asked here, beside what came
out. A verdict is computed from the numbers by the row's criterion; [Evidence](evidence/index.md) says what the classes mean. A
row's `#` is an address to cite, and the filter stands in the page's address, so that a filtered table can be linked. `DATA` in a
command is the folder of files of others."""
