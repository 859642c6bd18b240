"""The documentation, for Sphinx: guides, notebooks and the API reference in one site. ``make docs`` builds it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "examples")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import claims_page  # noqa: E402
import docstrings  # noqa: E402
import reference  # noqa: E402

import claims  # noqa: E402

project = "interp-suite"
author = "The interp-suite authors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "interp-suite"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_math_renderer = "mathml"
GALLERY = HERE / "gallery.md"  # of `make gallery`; without it the site has no gallery
html_extra_path = ["gallery_pages"] if GALLERY.is_file() else []
exclude_patterns = ["_static", "images", "gallery_pages"]

nb_execution_mode = "off"  # outputs are stored; `make notebooks` makes them
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath", "deflist"]
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]

default_role = "literal"
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # an attribute stands in its class's docstring, and is not listed again
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"


def made_pages() -> None:
    """The README as the first page, its links as seen from here; the claims with their figures; the notebooks of examples/."""
    text = (ROOT / "README.md").read_text(encoding="utf8")
    text = re.sub(r"\(docs/([^)]+)\)", r"(\1)", text)
    text = re.sub(r"\(examples/(\w+\.ipynb)\)", r"(notebooks/\1)", text).replace("(examples/CLAIMS.md)", "(claims.md)")
    text = re.sub(r"\[([^]]+)\]\(((?:examples/|[A-Z])[^):]*)\)", r"`\2`", text)
    contents = CONTENTS.replace(" GALLERY", "\ngallery" if GALLERY.is_file() else "")
    (HERE / "index.md").write_text(text + contents, encoding="utf8")
    shutil.rmtree(HERE / claims_page.FIGURES, ignore_errors=True)
    text = claims_page.write(claims.rows(), claims.CLASSES, HERE)
    (HERE / "claims.md").write_text(text, encoding="utf8")
    shutil.rmtree(HERE / "notebooks", ignore_errors=True)
    (HERE / "notebooks").mkdir()
    for path in (ROOT / "examples").glob("*.ipynb"):
        text = path.read_text(encoding="utf8").replace("](../docs/", "](../")
        (HERE / "notebooks" / path.name).write_text(text, encoding="utf8")


CONTENTS = """
```{toctree}
:caption: Start
:hidden:

getting_started
concepts
coming_from_transformerlens GALLERY
```
```{toctree}
:caption: How to
:hidden:

how_to/read_a_report
how_to/own_checkpoint
how_to/own_model
how_to/own_task
how_to/what_to_vary
how_to/given_starts
how_to/grids
how_to/circuit_methods
how_to/known_circuits
how_to/weight_matching
how_to/stitching
how_to/many_checkpoints
how_to/compare_insides
how_to/verify
how_to/notebook_figures
how_to/grokking_demo
how_to/runs_of_others
how_to/gpu_and_cluster
how_to/plugin
```
```{toctree}
:caption: Guides
:hidden:

circuits
progress
training
picbreeder
```
```{toctree}
:caption: Evidence
:hidden:

evidence/index
claims
```
```{toctree}
:caption: Notebooks
:hidden:
:glob:

notebooks/*
```
```{toctree}
:caption: Reference
:hidden:

reference/index
methods
glossary
performance
design
```
"""

made_pages()


def setup(app) -> None:
    """MathML in place of a script, reference pages from lists of names, and docstrings that are Markdown."""
    app.add_html_math_renderer("mathml", (docstrings.inline_math, None), (docstrings.block_math, None))
    app.connect("source-read", reference.expand)
    app.connect("autodoc-process-docstring", docstrings.to_rst, priority=400)  # before napoleon reads the sections
