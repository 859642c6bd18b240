"""Checkpoints: any file becomes a Subject; our own format is safetensors with its config in the header.

Three rooms, each of which imports only those before it: ``formats`` (from bytes to named tensors), ``layouts`` (from foreign
names and shapes to our configs), and the front door in the modules here.
"""

from interp.checkpoints.inspection import Inspection, inspect
from interp.checkpoints.loading import load
from interp.checkpoints.saving import save
from interp.series import CheckpointSeries

__all__ = ["CheckpointSeries", "Inspection", "inspect", "load", "save"]
