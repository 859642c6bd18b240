"""Tasks: what a network was trained to do."""

from interp.tasks.addition import ToyAddition
from interp.tasks.base import Task
from interp.tasks.binary import BinaryOperation
from interp.tasks.checks import losses_of
from interp.tasks.cyclic import CyclicStructure, GroupStructure
from interp.tasks.digits import Digits
from interp.tasks.examples import Examples
from interp.tasks.factors import FactorAxis, Factors
from interp.tasks.given import GivenData
from interp.tasks.given_task import given_to
from interp.tasks.grid import GridDirections
from interp.tasks.groups import GroupComposition
from interp.tasks.images import ImageTask
from interp.tasks.loss import Loss
from interp.tasks.losses import LOSSES, make_loss, register_loss
from interp.tasks.modular import ModularArithmetic
from interp.tasks.parity import SparseParity
from interp.tasks.registry import (
    GIVE_A_TASK,
    TASKS,
    build_task,
    make_task,
    register_task,
    require_registered,
    task_from_dict,
    task_to_dict,
)
from interp.tasks.reviews import Reviews
from interp.tasks.splits import ranges, shuffled
from interp.tasks.superposition import Superposition
from interp.tasks.symmetry import Symmetry

__all__ = [
    "GIVE_A_TASK", "LOSSES", "TASKS", "BinaryOperation", "CyclicStructure", "Digits", "Examples", "FactorAxis", "Factors",
    "GivenData", "GridDirections", "GroupComposition", "GroupStructure", "ImageTask", "Loss", "ModularArithmetic", "Reviews",
    "SparseParity", "Superposition", "Symmetry", "Task", "ToyAddition", "build_task", "given_to", "losses_of", "make_loss",
    "make_task", "ranges", "register_loss", "register_task", "require_registered", "shuffled", "task_from_dict",
    "task_to_dict",
]  # fmt: skip
