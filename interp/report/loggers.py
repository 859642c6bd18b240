"""Results in Weights & Biases and MLflow: numbers under ``analysis/metric``, tables, and the page as an artifact."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from interp._util.csv_text import csv_text
from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.hooked import HookedModel
from interp.plugins.outcome import Outcomes
from interp.report.data import jsonable, table_path
from interp.report.folder import write
from interp.subject import Subject, as_subject

TOOLS = ("wandb", "mlflow")
MOST_ROWS = 10_000  # of a table in W&B, which shows no more
TEXT = 500  # characters of a parameter in MLflow


def log_to_wandb(
    subject: Subject | HookedModel, outcomes: Outcomes, run: Any = None, *, page: bool | str | Path = True
) -> Any:
    """Log results to Weights & Biases: metrics in the run's summary, tables as ``wandb.Table``, the report as an artifact.

    Args:
        subject: what was analysed.
        outcomes: from `interp.analyze`.
        run: a run of W&B's, ``wandb.init(...)``; by default the current one.
        page: the folder of a report that is written already; True writes one, False leaves it out.

    Returns:
        the run, still open.

    Raises:
        MissingCapability: W&B is not installed.
        InterpError: no run is given and none is open.
    """
    wandb = _imported("wandb")
    run = wandb.run if run is None else run
    if run is None:
        raise InterpError(
            "no run of W&B's is open: run = wandb.init(project=...), then log_to_wandb(subject, outcomes, run)"
        )
    subject = as_subject(subject)
    _require(outcomes)
    run.config.update({"interp": _about(subject)}, allow_val_change=True)
    run.summary.update(flat_metrics(outcomes))
    tables = {}
    for name, outcome in outcomes.items():
        for label, table in (outcome.result.tables if outcome.result else {}).items():
            rows = table.head(MOST_ROWS).astype(object)
            data = rows.where(rows.notna(), None).to_numpy().tolist()
            columns = [str(column) for column in table]
            tables[f"interp/{name}/{label}"] = wandb.Table(columns=columns, data=data, allow_mixed_types=True)
    if tables:
        run.log(tables)
    for folder in _pages(subject, outcomes, page):
        artifact = wandb.Artifact(f"interp-report-{run.id}", type="report", metadata=_about(subject))
        artifact.add_dir(str(folder))
        run.log_artifact(artifact)
    return run


def log_to_mlflow(
    subject: Subject | HookedModel,
    outcomes: Outcomes,
    run_id: str | None = None,
    *,
    client: Any = None,
    page: bool | str | Path = True,
) -> str:
    """Log results to MLflow: metrics at the subject's step, what the network is as parameters, tables and report as artifacts.

    Args:
        subject: what was analysed.
        outcomes: from `interp.analyze`.
        run_id: of a run of MLflow's; by default the active one.
        client: an ``MlflowClient``; by default one of the tracking server in use.
        page: as in `log_to_wandb`.

    Returns:
        the run's id.

    Raises:
        MissingCapability: MLflow is not installed.
        InterpError: no run is given and none is active.
    """
    subject = as_subject(subject)
    _require(outcomes)
    if run_id is None:
        active = _imported("mlflow").active_run()
        if active is None:
            raise InterpError("no run of MLflow's is active: with mlflow.start_run(): log_to_mlflow(subject, outcomes)")
        run_id = str(active.info.run_id)
    client = _imported("mlflow").tracking.MlflowClient() if client is None else client
    for name, value in _about(subject).items():
        client.log_param(run_id, f"interp.{name}", str(value)[:TEXT])
    for name, value in flat_metrics(outcomes).items():
        if isinstance(value, (int, float)):
            client.log_metric(run_id, _plain(name), float(value), step=subject.step or 0)
    for name, outcome in outcomes.items():
        for label, table in (outcome.result.tables if outcome.result else {}).items():
            client.log_text(run_id, csv_text(table), f"interp/{table_path(name, label)}")
    for folder in _pages(subject, outcomes, page):
        client.log_artifacts(run_id, str(folder), "interp/report")
    return run_id


def send(tool: str, subject: Subject, outcomes: Outcomes, page: Path) -> None:
    """Log a written report to the run of a tool that is open, or to a new one.

    Args:
        tool: ``wandb`` or ``mlflow``.
        subject: what was analysed.
        outcomes: of its analyses.
        page: the folder of the report.

    Raises:
        UnknownName: another tool.
        MissingCapability: it is not installed.
    """
    check_tool(tool)
    module = _imported(tool)
    if tool == "wandb":
        with module.init(project="interp", name=subject.name) as run:
            log_to_wandb(subject, outcomes, run, page=page)
    else:
        with module.start_run(run_name=subject.name) as run:
            log_to_mlflow(subject, outcomes, run.info.run_id, page=page)


def check_tool(tool: str) -> None:
    """Refuse a tool that results cannot be logged to, or that is not installed.

    Raises:
        UnknownName: another name than those of `TOOLS`.
        MissingCapability: it is not installed.
    """
    if tool not in TOOLS:
        raise UnknownName(unknown("tool to log to", tool, TOOLS))
    _imported(tool)


def flat_metrics(outcomes: Outcomes) -> dict[str, Any]:
    """All metrics by ``interp/analysis/metric``: numbers and short texts; what is not known or not finite is left out.

    Args:
        outcomes: of one subject.

    Returns:
        plain values.
    """
    found: dict[str, Any] = {}
    for name, outcome in outcomes.items():
        for metric, value in jsonable(outcome.result.metrics if outcome.result else {}).items():
            items = value.items() if isinstance(value, dict) else [("", value)]
            found |= {
                f"interp/{name}/{metric}{'/' if key else ''}{key}": item for key, item in items if _loggable(item)
            }
    return found


def _loggable(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (bool, int)) or (isinstance(value, str) and len(value) <= TEXT)


def _about(subject: Subject) -> dict[str, Any]:
    origin = subject.provenance
    known = {"subject": subject.name, "model": type(subject.model).__name__, "task": subject.task and str(subject.task),
             "step": subject.step, "sha256": origin.sha256, "path": origin.path, "layout": origin.layout}  # fmt: skip
    return {name: value for name, value in known.items() if value not in (None, "")}


def _pages(subject: Subject, outcomes: Outcomes, page: bool | str | Path) -> Iterator[Path]:
    """The folder of the report, if one is wanted."""
    if isinstance(page, bool):
        if page:
            with tempfile.TemporaryDirectory() as folder:
                write(subject, outcomes, Path(folder) / "report")
                yield Path(folder) / "report"
        return
    if not (Path(page) / "index.html").is_file():
        raise InterpError(f"{page} is not the folder of a report (it has no index.html); page=True writes one")
    yield Path(page)


def _plain(name: str) -> str:
    """A metric's name in the characters that MLflow allows."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)


def _require(outcomes: object) -> None:
    if not isinstance(outcomes, Outcomes):
        raise InterpError(f"Outcomes are needed, as interp.analyze returns them, got a {type(outcomes).__name__}")


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingCapability(f"results go to {name} only where it is installed: pip install {name}") from None
