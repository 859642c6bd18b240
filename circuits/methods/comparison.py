"""Methods of circuit discovery side by side: faithfulness over sparsity, and precision and recall where the circuit is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pandas as pd
import torch
from torch import Tensor

from circuits.discovery.discover import Circuit, discover
from circuits.discovery.graph import better
from circuits.findings import Findings
from circuits.interventions.counterfactual import Counterfactual
from circuits.interventions.values import ValueLike
from circuits.methods.acdc import acdc
from circuits.methods.eap import eap
from circuits.methods.eap_ig import eap_ig
from circuits.methods.edge_effects import edge_effects
from circuits.methods.edge_scores import EdgeScores
from circuits.methods.faithfulness import Faithfulness, draw
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, UnknownName, kind_of, require_range, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

THRESHOLDS = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)  # of ACDC, in shares of what ablating everything changes


@runtime_checkable
class Case(Protocol):
    """A network whose circuit is known, as `circuits.known` has them."""

    name: str
    subject: Subject
    clean: Tensor
    corrupted: Tensor
    edges: frozenset[str]


Method = Callable[..., EdgeScores]
