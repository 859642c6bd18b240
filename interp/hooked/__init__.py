"""Hooked models: transformers, MLPs, recurrent networks, CPPNs, toy models; their activations pass through named hook points.

One room for each kind of model (``transformer``, ``mlp``, ``rnn``, ``lstm``, ``cppn``, ``neat``, ``toy_model``), ``foreign``
for modules that others wrote, and beside them what they share: `base`, `config`, `hook_point`, `initial`, `dropout`,
`tensors` of unknown networks, and the `registry` of kinds.
"""

from interp.hooked.base import HookedModel
from interp.hooked.coerce import as_model
from interp.hooked.config import Config
from interp.hooked.cppn.config import CPPNConfig
from interp.hooked.cppn.model import HookedCPPN
from interp.hooked.foreign.several import Inputs
from interp.hooked.foreign.wrap import wrap
from interp.hooked.hook_point import HookPoint
from interp.hooked.lstm.config import LSTMConfig
from interp.hooked.lstm.model import HookedLSTM
from interp.hooked.mlp.config import MLPConfig
from interp.hooked.mlp.model import HookedMLP
from interp.hooked.neat.config import NEATConfig
from interp.hooked.neat.model import HookedNEAT
from interp.hooked.registry.kinds import MODELS, build, config_from_dict, model_class, model_kinds
from interp.hooked.rnn.config import RNNConfig
from interp.hooked.rnn.model import HookedRNN
from interp.hooked.toy_model.config import ToyModelConfig
from interp.hooked.toy_model.model import HookedToyModel
from interp.hooked.transformer.config import TransformerConfig
from interp.hooked.transformer.model import HookedTransformer

__all__ = [
    "MODELS", "CPPNConfig", "Config", "HookPoint", "HookedCPPN", "HookedLSTM", "HookedMLP", "HookedModel", "HookedNEAT",
    "HookedRNN", "HookedToyModel", "HookedTransformer", "Inputs", "LSTMConfig", "MLPConfig", "NEATConfig", "RNNConfig",
    "ToyModelConfig", "TransformerConfig", "as_model", "build", "config_from_dict", "model_class", "model_kinds", "wrap",
]  # fmt: skip
