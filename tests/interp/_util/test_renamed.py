"""Former names of arguments."""

from __future__ import annotations

import inspect

import pytest

from interp._util.renamed import renamed


@renamed(count="n")
def double(n: int) -> int:
    """Twice n."""
    return 2 * n


def test_the_former_name_warns_and_works() -> None:
    """The new one does not warn, and the signature shows it alone."""
    with pytest.warns(DeprecationWarning, match=r"double\(count=...\) is now double\(n=...\)"):
        assert double(count=3) == 6  # type: ignore[call-arg]
    assert double(n=3) == double(3) == 6
    assert list(inspect.signature(double).parameters) == ["n"]


def test_both_names_at_once() -> None:
    """Nobody knows which is meant."""
    with pytest.raises(TypeError, match="both n= and count="):
        double(n=1, count=2)  # type: ignore[call-arg]
