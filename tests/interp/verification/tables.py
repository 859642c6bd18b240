"""A small table with claims about it."""

from __future__ import annotations

from pathlib import Path

import interp
from interp.verification.row import Row

CLAIMS = """
title = "A table"
source = "Doe 2026"

[claims.rows]
claim = "Three rows"
file = "t.csv"
quantity = "table.rows"
published = 3

[claims.mean]
claim = "Their mean is 2.0"
file = "t.csv"
quantity = "table.statistic"
column = "x"
published = 2.0
"""


def written(tmp_path: Path, text: str = "") -> Path:
    """A folder with the table, its claims, and further ones."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "t.csv").write_text("x,phase\n1,a\n2,b\n3,b\n")
    return added(folder, text)


def added(folder: Path, text: str) -> Path:
    """The claims of the folder, and further ones."""
    (folder / "claims.toml").write_text(CLAIMS + text)
    return folder


def replay(folder: Path, file: str, quantity: str, fields: str) -> Row:
    """One claim about a file of the folder, replayed: ``fields`` are those of the quantity, and what was published."""
    claim = f'[claims.one]\nclaim = "c"\nfile = "{file}"\nquantity = "{quantity}"\n{fields}\n'
    (folder / "claims.toml").write_text(f'title = "T"\nsource = "S"\n{claim}', "utf8")
    return interp.verify(folder).replayed[0]
