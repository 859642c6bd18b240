"""The version of the suite, and the versions of the libraries that the numbers depend on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"


@cache
def versions() -> dict[str, str]:
    """The versions of this package, of Python and of the libraries that the numbers depend on, by name."""
    found = {"interp-suite": __version__, "python": platform.python_version()}
    for package in ("torch", "transformer-lens", "numpy", "plotly"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
