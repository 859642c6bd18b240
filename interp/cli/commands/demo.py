"""``interp demo``: a report on the run that ships with the package."""

from __future__ import annotations

from pathlib import Path

from interp.cli.failures import hold
from interp.cli.options import Device, Force, Json, Out, Quiet, Verbose
from interp.cli.reporting import Request, report
from interp.cli.saying import Saying

RUN = Path(__file__).parents[2] / "demo" / "run"


def demo(
    out: Out = Path("report"), device: Device = "auto", force: Force = False, json: Json = False, quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:  # fmt: skip
    """Analyse the run that ships with the package: a small transformer that groks (a + b) mod 53."""
    from interp.report import reserved

    saying = Saying.of(quiet=quiet, verbose=verbose, as_json=json)
    hold(reserved(out, force=force))
    from interp.checkpoints import load

    report(load(RUN, device=device), Request(out, force=force), saying)
