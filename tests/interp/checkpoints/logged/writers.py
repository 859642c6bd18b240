"""Small writers of the folders that other tools write, by the formats' own documents."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

Row = Mapping[str, Any]


def network(seed: int = 0) -> nn.Sequential:
    """A chain of linear layers, which a layout knows."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 5))


class Odd(nn.Module):
    """What no layout knows."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Conv3d(1, 2, 3)
        self.table = nn.Parameter(torch.ones(4, 3, 2))


# protocol buffers


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


# TensorBoard


def crc32c(data: bytes) -> int:
    """Bit by bit, as the definition says."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def event(step: int, tag: str, value: float, *, as_tensor: bool = False) -> bytes:
    """An event with one scalar: a simple value as torch writes it, or a tensor as TensorFlow 2 does."""
    held = (
        message(8, varint(1 << 3) + varint(1) + message(2, b"") + message(4, struct.pack("<f", value)))
        if as_tensor
        else varint(2 << 3 | 5) + struct.pack("<f", value)
    )
    summary = message(1, message(1, tag) + held)
    return record(varint(1 << 3 | 1) + struct.pack("<d", 1.7e9) + varint(2 << 3) + varint(step) + message(5, summary))


def event_file(folder: Path, events: Iterable[bytes], number: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.170000000{number}.host.1.{number}"
    version = record(varint(1 << 3 | 1) + struct.pack("<d", 1.7e9) + message(3, "brain.Event:2"))
    path.write_bytes(version + b"".join(events))
    return path


# Weights & Biases


def transactions(path: Path, rows: Iterable[Row], config: Row | None = None, name: str = "") -> Path:
    """``run-ID.wandb``: a header, then records in blocks of 32 KB, split where they do not fit."""
    records = [message(17, message(1, "id") + message(4, _items(config or {})) + message(8, name))]
    records += [message(2, _items({k: v for k, v in row.items() if k != "_step"}) + _step(row)) for row in rows]
    out = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
    for data in records:
        first = True
        while first or data:
            left = (1 << 15) - len(out) % (1 << 15)
            if left < 7:
                out += bytes(left)
                continue
            part, data = data[: left - 7], data[left - 7 :]
            kind = (1 if not data else 2) if first else (4 if not data else 3)
            out += struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            first = False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(out))
    return path


def _items(values: Row) -> bytes:
    return b"".join(message(1, message(2, key) + message(16, json.dumps(value))) for key, value in values.items())


def _step(row: Row) -> bytes:
    return message(2, varint(1 << 3) + varint(row["_step"])) if "_step" in row else b""


def wandb_run(
    folder: Path, rows: Iterable[Row], *, steps: Iterable[int] = (), model: nn.Module | None = None, **more: Any
) -> Path:
    """An offline run with checkpoints among its files."""
    run = folder / "wandb" / "offline-run-20260101_000000-abc123"
    transactions(run / "run-abc123.wandb", rows, **more)
    (run / "files").mkdir(exist_ok=True)
    (run / "files" / "requirements.txt").write_text("torch\n")
    for step in steps:
        torch.save((model or network(step)).state_dict(), run / "files" / f"model_step_{step}.pt")
    return run


# Lightning

HPARAMS = """width: 8
lr: 0.01
shape: !!python/tuple
- 1
- 2
act: !!python/name:os.system ''
run: !!python/object/apply:os.system ['touch ran']
"""


def lightning_run(
    folder: Path,
    rows: Iterable[Row],
    *,
    steps: Iterable[int] = (),
    model: nn.Module | None = None,
    name: str = "epoch={epoch}-step={step}.ckpt",
) -> Path:
    """``version_0`` with settings, metrics and checkpoints; an epoch has three steps."""
    run = folder / "lightning_logs" / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "hparams.yaml").write_text(HPARAMS)
    rows = list(rows)
    if rows:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines = [",".join(str(row.get(c, "")) for c in columns) for row in rows]
        (run / "metrics.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    for step in steps:
        state = {f"net.{k}": v for k, v in (model or network(step)).state_dict().items()}
        kept = {
            "epoch": step // 3, "global_step": step, "pytorch-lightning_version": "2.5.0", "state_dict": state, "loops": {},
            "callbacks": {}, "optimizer_states": [], "lr_schedulers": [], "hyper_parameters": {"width": 8},
        }  # fmt: skip
        torch.save(kept, run / "checkpoints" / name.format(epoch=step // 3, step=step))
        torch.save(kept, run / "checkpoints" / "last.ckpt")
    return run


# the Trainer of Hugging Face


def trainer_run(
    folder: Path, history: Sequence[Row], *, steps: Iterable[int] = (), model: nn.Module | None = None
) -> Path:
    """``checkpoint-N`` of a module of one's own, which has no config.json."""
    for step in steps:
        inner = folder / f"checkpoint-{step}"
        inner.mkdir(parents=True)
        save_file((model or network(step)).state_dict(), inner / "model.safetensors", metadata={"format": "pt"})
        torch.save({"state": {}, "param_groups": []}, inner / "optimizer.pt")
        torch.save({"cpu": torch.zeros(4)}, inner / "rng_state.pth")
        past = [row for row in history if row["step"] <= step]
        (inner / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": past}))
    return folder
