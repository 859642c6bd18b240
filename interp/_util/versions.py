"""The version of the suite, and those of the libraries that computed the numbers."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"


@cache
def versions() -> dict[str, str]:
    """Of this package, of Python, and of the libraries that the numbers depend on."""
    found = {"interp-suite": __version__, "python": platform.python_version()}
    for package in ("torch", "transformer-lens", "numpy", "plotly"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
