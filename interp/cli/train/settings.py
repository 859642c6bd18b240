"""The settings of a run as options of ``interp train``: what they are called, of which type, and their help."""

from __future__ import annotations

from dataclasses import dataclass

OPTIMISER, TRAINING, KEPT = "Optimiser", "Training", "What is kept"


@dataclass(frozen=True)
class Setting:
    """An option of ``interp train``. One of type str takes several values, unless `SINGLE` has it; ``--grid`` takes any.

    Attributes:
        name: that of the argument of `interp.train`.
        type: what the command line reads it as.
        help: a line for ``--help``.
        panel: heading under which ``--help`` shows it.
    """

    name: str
    type: type
    help: str
    panel: str


SETTINGS = (
    Setting(
        "model", str, "Network, over the recipe's: mlp:hidden=200x200,act_fn=tanh or transformer:d_mlp=256.", TRAINING
    ),
    Setting("optimizer", str, "sgd, adam (weight decay as L2) or adamw (decoupled).", OPTIMISER),
    Setting("lr", str, "Learning rate.", OPTIMISER),
    Setting("weight_decay", str, "Weight decay.", OPTIMISER),
    Setting("embedding_lr", str, "Learning rate of the embeddings.", OPTIMISER),
    Setting("decoder_lr", str, "Learning rate of everything but the embeddings.", OPTIMISER),
    Setting("last_lr", str, "Learning rate of the last layer.", OPTIMISER),
    Setting("embedding_weight_decay", str, "Weight decay of the embeddings.", OPTIMISER),
    Setting("decoder_weight_decay", str, "Weight decay of everything but the embeddings.", OPTIMISER),
    Setting("last_weight_decay", str, "Weight decay of the last layer.", OPTIMISER),
    Setting("momentum", float, "Momentum of SGD.", OPTIMISER),
    Setting("nesterov", bool, "Use Nesterov's momentum.", OPTIMISER),
    Setting("betas", str, "Adam's betas: 0.9,0.98.", OPTIMISER),
    Setting("eps", float, "Adam's epsilon.", OPTIMISER),
    Setting("grokfast", str, "Amplify slow gradients (Grokfast): alpha,lamb, such as 0.98,2.", OPTIMISER),
    Setting("perp_grad", bool, "Take the part along the weights out of every gradient.", OPTIMISER),
    Setting("steps", int, "Number of updates.", TRAINING),
    Setting("epochs", int, "Number of updates in passes over the train set, in place of steps.", TRAINING),
    Setting("lr_times_steps", float, "In place of steps: each network makes this over its own learning rate.", TRAINING),
    Setting("batch_size", str, "Examples per update, or full; full where the recipe has no batch size.", TRAINING),
    Setting("warmup", int, "Steps over which the learning rate rises from 0.", TRAINING),
    Setting(
        "lr_schedule", str, "constant, linear:FINAL, cosine:FINAL, exponential:FINAL (factor at the end) or step:SIZE:GAMMA.",
        TRAINING,
    ),
    Setting(
        "init", str, "Initial weights: normal (variance 1/fan-in), truncated (cut at two deviations), torch (as torch's "
        "modules draw them); or a checkpoint to start from: start.npz, runs/a@step=0,member=2.", TRAINING,
    ),
    Setting("mask", str, "Weights that are 0 in this checkpoint, or in a file of named tensors, stay 0.", TRAINING),
    Setting("train_indices", str, "A file of the examples that train: npz, npy, torch, JSON or text.", TRAINING),
    Setting("test_indices", str, "A file of the examples to test on; by default all others.", TRAINING),
    Setting("targets", str, "A file of target vectors, a row per answer, for the loss 'vectors'; drawn without it.", TRAINING),
    Setting("init_scale", str, "Multiplies every initial parameter.", TRAINING),
    Setting("embedding_scale", str, "Also multiplies the embeddings' initial parameters.", TRAINING),
    Setting("l1", str, "Adds l1 * sum |theta| to the loss.", TRAINING),
    Setting("norm_penalty", str, "Subtracts this times sum theta^2 from the loss, so that the norm grows.", TRAINING),
    Setting("entropy_penalty", str, "Adds this times -sum |w| ln |w| over the weight matrices to the loss.", TRAINING),
    Setting("sparsity_penalty", str, "Adds this times the soft share of hidden activations that are on.", TRAINING),
    Setting("sparsity_tau", float, "In it: an activation below this is off.", TRAINING),
    Setting("sparsity_width", float, "In it: width of the step from off to on.", TRAINING),
    Setting(
        "complexity_penalty", str, "Adds this times the divergence of the outputs when random weights are 0.", TRAINING
    ),
    Setting("complexity_share", float, "In it: share of the weights that are 0.", TRAINING),
    Setting("complexity_scope", str, "In it: of one layer, drawn anew at each update, or of the network.", TRAINING),
    Setting("label_smoothing", str, "Share of each label that is spread over all answers.", TRAINING),
    Setting("softmax_dtype", str, "Precision of the softmax that is trained on: float32 or float64.", TRAINING),
    Setting("frozen", str, "Parameters that do not move: embedding,layers.0 or blocks.*.attn.", TRAINING),
    Setting("fixed_norm", str, "Keep the initial norm of the whole network, or of each parameter.", TRAINING),
    Setting("clip_norm", float, "Clip each network's gradient to this norm.", TRAINING),
    Setting("normalise", bool, "Divide each network's gradient by its norm.", TRAINING),
    Setting("late_weight_decay", float, "What the weight decay becomes at --late-at.", TRAINING),
    Setting("late_at", str, "When: a step, or memorised (train accuracy above 0.999).", TRAINING),
    Setting("retire", float, "Stop networks whose train and test accuracy have both reached this.", TRAINING),
    Setting("retire_side", str, "'>=': retire when that accuracy is met; '>': when it is exceeded (quote it).", TRAINING),
    Setting("dtype", str, "Of the weights: float32 or float64.", TRAINING),
    Setting("metrics", str, "When to measure: every:100, log:60, 0,10,100, or epoch.", KEPT),
    Setting("checkpoints", str, "When to save the weights: every:1000, log:60, or 0,10,100.", KEPT),
    Setting("name", str, "What the run calls itself.", KEPT),
)  # fmt: skip
# their values have commas or are files, or members share them
SINGLE = (
    "model", "betas", "grokfast", "frozen", "train_indices", "test_indices", "targets", "dtype", "metrics", "checkpoints", "name",
)  # fmt: skip
SEVERAL = tuple(s.name for s in SETTINGS if s.type is str and s.name not in SINGLE)
