"""Checkpoints: any file becomes a Subject; our own format is safetensors with its config in the header."""

from interp.checkpoints.load import Inspection, inspect, load
from interp.checkpoints.save import save
from interp.checkpoints.series import CheckpointSeries

__all__ = ["CheckpointSeries", "Inspection", "inspect", "load", "save"]
