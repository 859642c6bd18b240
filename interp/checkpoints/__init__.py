"""Checkpoints: any file becomes a Subject; our own format is safetensors with its config in the header."""

from interp.checkpoints.loading import Inspection, inspect, load
from interp.checkpoints.saving import save
from interp.series import CheckpointSeries

__all__ = ["CheckpointSeries", "Inspection", "inspect", "load", "save"]
