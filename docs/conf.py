"""The documentation, for Sphinx; `make docs` builds it, and the API reference beside it with pdoc."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "interp-suite"
author = "the authors of interp-suite"
extensions = ["myst_nb"]
html_theme = "furo"
html_title = "interp-suite"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
nb_execution_mode = "off"  # outputs are stored; `make notebooks` makes them
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]


def made_pages() -> None:
    """The README as the first page and examples/CLAIMS.md, their links as seen from here; and the notebooks of examples/."""
    text = (ROOT / "README.md").read_text(encoding="utf8")
    text = re.sub(r"\(docs/([^)]+)\)", r"(\1)", text)
    text = re.sub(r"\(examples/(\w+\.ipynb)\)", r"(notebooks/\1)", text).replace("(examples/CLAIMS.md)", "(claims.md)")
    text = re.sub(r"\[([^]]+)\]\((examples/[^)]*)\)", r"`\2`", text)
    (HERE / "index.md").write_text(text + CONTENTS, encoding="utf8")
    claims = (ROOT / "examples" / "CLAIMS.md").read_text(encoding="utf8")
    (HERE / "claims.md").write_text(re.sub(r"\((\w+\.ipynb)\)", r"(notebooks/\1)", claims), encoding="utf8")
    shutil.rmtree(HERE / "notebooks", ignore_errors=True)
    (HERE / "notebooks").mkdir()
    for path in (ROOT / "examples").glob("*.ipynb"):
        shutil.copy(path, HERE / "notebooks")


CONTENTS = """
```{toctree}
:caption: Notebooks
:hidden:
:glob:

notebooks/*
```
```{toctree}
:caption: Guides
:hidden:

training
progress
circuits
picbreeder
claims
api
```
"""

made_pages()
