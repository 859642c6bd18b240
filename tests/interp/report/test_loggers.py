"""Results in Weights & Biases and MLflow: the numbers of the report, its tables, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp.checkpoints.logged.wandb_files import read_transactions
from interp.report import log_to_mlflow, log_to_wandb
from interp.report.loggers import flat_metrics


@pytest.fixture(scope="module")
def analysed() -> tuple[interp.Subject, interp.Outcomes]:
    model = interp.HookedMLP(interp.MLPConfig(hidden=(6,), d_out=5, d_vocab=5, d_embed=3)).init_weights(0)
    subject = interp.Subject("small", model, interp.make_task("modular:p=5").fit(model), step=70)
    return subject, interp.analyze(subject, only=["performance", "weights", "genome"])


class Client:
    """What MLflow's client does with what it is given."""

    def __init__(self) -> None:
        self.params: dict[str, str] = {}
        self.metrics: dict[str, tuple[float, int]] = {}
        self.texts: dict[str, str] = {}
        self.artifacts: list[tuple[str, str]] = []

    def log_param(self, run_id: str, key: str, value: str) -> None:
        self.params[key] = value

    def log_metric(self, run_id: str, key: str, value: float, *, step: int) -> None:
        assert isinstance(value, float)
        self.metrics[key] = value, step

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        self.texts[artifact_file] = text

    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str) -> None:
        self.artifacts += [(artifact_path, p.name) for p in sorted(Path(local_dir).iterdir())]


def test_mlflow_gets_numbers_tables_and_the_page(analysed: Any) -> None:
    """At the subject's step; what is not known is left out."""
    subject, outcomes = analysed
    client = Client()
    assert log_to_mlflow(subject, outcomes, "run7", client=client) == "run7"
    numbers = {n: v for n, v in outcomes["performance"].metrics.items() if isinstance(v, float)}
    assert numbers
    assert all(client.metrics[f"interp/performance/{n}"] == (v, 70) for n, v in numbers.items())
    assert client.params["interp.task"] == str(subject.task)
    table = next(iter(outcomes["weights"].tables.values()))
    text = next(t for name, t in client.texts.items() if "weights" in name)
    assert text.splitlines()[0].split(",") == list(table)
    assert ("interp/report", "index.html") in client.artifacts
    assert not any("genome" in name for name in client.metrics)  # it was skipped


@pytest.mark.slow
def test_weights_and_biases_gets_them(analysed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, offline; read back from its own log."""
    wandb = pytest.importorskip("wandb")
    subject, outcomes = analysed
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(mode="offline", project="interp", dir=str(tmp_path)) as run:
        log_to_wandb(subject, outcomes, run)
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert read_transactions(log, 100).config["interp"]["task"] == str(subject.task)
    held = log.read_bytes()
    assert b"interp-report-" in held
    assert all(name.encode() in held for name in flat_metrics(outcomes))


def test_what_is_wrong_is_said(analysed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, outcomes = analysed
    with pytest.raises(interp.InterpError, match="Outcomes are needed"):
        log_to_mlflow(subject, {}, "run", client=Client())  # pyright: ignore[reportArgumentType]
    with pytest.raises(interp.InterpError, match=r"no index\.html"):
        log_to_mlflow(subject, outcomes, "run", client=Client(), page=tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(interp.MissingCapability, match="pip install wandb"):
        log_to_wandb(subject, outcomes)


def test_metrics_are_plain(analysed: Any) -> None:
    """As JSON holds them."""
    _, outcomes = analysed
    flat = flat_metrics(outcomes)
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat
    assert all(name.startswith("interp/") for name in flat)
    assert torch.tensor([v for v in flat.values() if isinstance(v, float)]).isfinite().all()
