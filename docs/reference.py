"""The API reference: a page per module, from its docstrings. ``python docs/reference.py FOLDER``."""

from __future__ import annotations

import pkgutil
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pdoc

import circuits
import interp
import probes

PACKAGES = (interp, probes, circuits)


def modules(package: ModuleType) -> list[str]:
    """The package and everything in it."""
    inside = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [package.__name__, *(module.name for module in inside)]


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "Error parsing type annotation")  # of dataclasses whose shapes are strings
    warnings.filterwarnings("ignore", "The module specification")  # exported modules are found twice
    for package in PACKAGES:
        for name in package.__all__:
            setattr(package, name, getattr(package, name))  # exported lazily; pdoc looks for names that are there
    names = [name for package in PACKAGES for name in modules(package)]
    pdoc.render.configure(docformat="google", show_source=False, footer_text="interp-suite")
    pdoc.pdoc(*names, output_directory=Path(sys.argv[1]))
    print(f"{len(names)} modules")
