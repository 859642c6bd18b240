"""The time that is left, at the pace so far."""

from __future__ import annotations

import pytest

from interp._util import estimate
from interp._util.progress_context import watched


def test_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the first seconds; then the count, and (total - done) / done of the time that has passed."""
    now, heard, seen = [100.0], [], []
    monkeypatch.setattr(estimate.time, "monotonic", lambda: now[0])
    progress = estimate.told("ablations", lambda done, total: seen.append((done, total)))
    with watched(heard.append):
        for second, done in ((1, 1), (10, 20), (10.5, 21), (40, 1000)):
            now[0] = 100.0 + second
            progress(done, 1000)
    assert heard == ["20 of 1,000 ablations, about 8 min left", "1,000 of 1,000 ablations"]
    assert seen == [(1, 1000), (20, 1000), (21, 1000), (1000, 1000)]
