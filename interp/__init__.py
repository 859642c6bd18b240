"""Take small neural networks apart: the host of the suite.

Names are imported on first use, so that ``import interp`` (and ``interp --help``) does not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp._util.door import lazy_exports
from interp._util.rounding import round_alike
from interp._util.threads import wait_passively

wait_passively()  # both are read when torch is imported
round_alike()

if TYPE_CHECKING:
    from interp import activations as activations
    from interp import errors as errors
    from interp import groups as groups
    from interp import hooked as hooked
    from interp import neat as neat
    from interp import picbreeder as picbreeder
    from interp import report as report
    from interp import tasks as tasks
    from interp import training as training
    from interp._util.versions import __version__ as __version__
    from interp.activations import reducers as reducers
    from interp.activations.capture import Activations as Activations
    from interp.activations.capture import capture as capture
    from interp.activations.gradients import gradients as gradients
    from interp.checkpoints import inspect as inspect
    from interp.checkpoints import load as load
    from interp.checkpoints import save as save
    from interp.checkpoints.rebuilt import wrap_file as wrap_file
    from interp.errors import InterpError as InterpError
    from interp.errors import MissingCapability as MissingCapability
    from interp.errors import TaskMismatch as TaskMismatch
    from interp.errors import UnknownLayout as UnknownLayout
    from interp.errors import UnknownName as UnknownName
    from interp.errors import UnknownSite as UnknownSite
    from interp.errors import UnreadableFile as UnreadableFile
    from interp.hooked import Config as Config
    from interp.hooked import CPPNConfig as CPPNConfig
    from interp.hooked import HookedCPPN as HookedCPPN
    from interp.hooked import HookedLSTM as HookedLSTM
    from interp.hooked import HookedMLP as HookedMLP
    from interp.hooked import HookedModel as HookedModel
    from interp.hooked import HookedNEAT as HookedNEAT
    from interp.hooked import HookedRNN as HookedRNN
    from interp.hooked import HookedToyModel as HookedToyModel
    from interp.hooked import HookedTransformer as HookedTransformer
    from interp.hooked import Inputs as Inputs
    from interp.hooked import LSTMConfig as LSTMConfig
    from interp.hooked import MLPConfig as MLPConfig
    from interp.hooked import NEATConfig as NEATConfig
    from interp.hooked import RNNConfig as RNNConfig
    from interp.hooked import ToyModelConfig as ToyModelConfig
    from interp.hooked import TransformerConfig as TransformerConfig
    from interp.hooked import wrap as wrap
    from interp.phase_diagrams import PhaseDiagram as PhaseDiagram
    from interp.pictures import Picture as Picture
    from interp.plugins.analysis import Outcomes as Outcomes
    from interp.plugins.analysis import analysis as analysis
    from interp.plugins.analysis import analyze as analyze
    from interp.plugins.claim import Claim as Claim
    from interp.plugins.joint import joint_analysis as joint_analysis
    from interp.plugins.measure import measure as measure
    from interp.plugins.result import Result as Result
    from interp.report import figures as figures
    from interp.report.comparison import compare as compare
    from interp.scores import Scores as Scores
    from interp.scores import score as score
    from interp.series import CheckpointSeries as CheckpointSeries
    from interp.sites import Site as Site
    from interp.sites import resolve_sites as resolve_sites
    from interp.snapshot import Snapshot as Snapshot
    from interp.subject import Subject as Subject
    from interp.tasks import Digits as Digits
    from interp.tasks import Examples as Examples
    from interp.tasks import FactorAxis as FactorAxis
    from interp.tasks import Factors as Factors
    from interp.tasks import GridDirections as GridDirections
    from interp.tasks import GroupComposition as GroupComposition
    from interp.tasks import ImageTask as ImageTask
    from interp.tasks import ModularArithmetic as ModularArithmetic
    from interp.tasks import Reviews as Reviews
    from interp.tasks import SparseParity as SparseParity
    from interp.tasks import Superposition as Superposition
    from interp.tasks import Symmetry as Symmetry
    from interp.tasks import Task as Task
    from interp.tasks import ToyAddition as ToyAddition
    from interp.tasks import make_task as make_task
    from interp.tasks.losses import register_loss as register_loss
    from interp.tasks.registry import register_task as register_task
    from interp.training import Optimizer as Optimizer
    from interp.training import Run as Run
    from interp.training import RunInterrupted as RunInterrupted
    from interp.training import every as every
    from interp.training import grid as grid
    from interp.training import log_spaced as log_spaced
    from interp.training import record as record
    from interp.training import refine as refine
    from interp.training import resume as resume
    from interp.training import seeds as seeds
    from interp.training import train as train
    from interp.verification.quantity import quantity as quantity
    from interp.verification.replay import verify as verify
    from interp.verification.result import Verification as Verification
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
