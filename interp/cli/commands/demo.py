"""``interp demo``: a report on the run that ships with the package."""

from __future__ import annotations

from pathlib import Path

from interp.cli.failures import hold
from interp.cli.options import Device, Force, Out
from interp.cli.reporting import Request, report

RUN = Path(__file__).parents[2] / "demo" / "run"


def demo(out: Out = Path("report"), device: Device = "auto", force: Force = False) -> None:
    """Analyse the run that ships with the package: a small transformer that groks (a + b) mod 53."""
    from interp.report import reserved

    hold(reserved(out, force=force))
    from interp.checkpoints import load

    report(load(RUN, device=device), Request(out, force=force))
