"""Starting a run and going on with one: `interp.train` and `interp.resume`."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Never

import numpy as np
from torch import Tensor

from interp._util.parallel import parse_executor
from interp.errors import InterpError, UnknownName, kind_of, unknown
from interp.hooked import Config, HookedModel
from interp.subject import Subject
from interp.tasks import Task, make_task
from interp.training.bar import shown
from interp.training.counts import Counts
from interp.training.directory import RunDirectory
from interp.training.loop import Watcher, check_plan, proceed, start
from interp.training.notes import tell
from interp.training.plan import Plan
from interp.training.planning import make_plan
from interp.training.run import Run
from interp.training.schedule import Schedule
from interp.training.shards import Counter, train_in_shards
from interp.training.updates.optimizers import Optimizer

Weights = str | Path | Subject | HookedModel | Mapping[str, Any]  # see `interp.training.sources`
Numbers = str | Path | Sequence[Any] | np.ndarray | Tensor


def train(
    task: str | Task,
    model: str | Config | None = None,
    *,
    members: int | Sequence[Mapping[str, Any]] | None = None,
    optimizer: str | Optimizer | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    embedding_lr: float | None = None,
    decoder_lr: float | None = None,
    last_lr: float | None = None,
    embedding_weight_decay: float | None = None,
    decoder_weight_decay: float | None = None,
    last_weight_decay: float | None = None,
    betas: tuple[float, float] | None = None,
    eps: float | None = None,
    momentum: float | None = None,
    nesterov: bool | None = None,
    grokfast: tuple[float, float] | None = None,
    perp_grad: bool | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    lr_times_steps: float | None = None,
    batch_size: int | Literal["full"] | None = None,
    warmup: int | None = None,
    lr_schedule: str | None = None,
    init: Weights | None = None,
    mask: Weights | None = None,
    init_scale: float | None = None,
    embedding_scale: float | None = None,
    l1: float | None = None,
    norm_penalty: float | None = None,
    entropy_penalty: float | None = None,
    sparsity_penalty: float | None = None,
    sparsity_tau: float | None = None,
    sparsity_width: float | None = None,
    complexity_penalty: float | None = None,
    complexity_share: float | None = None,
    complexity_scope: str | None = None,
    label_smoothing: float | None = None,
    softmax_dtype: str | None = None,
    frozen: str | Sequence[str] | None = None,
    fixed_norm: str | bool | None = None,
    clip_norm: float | None = None,
    normalise: bool | None = None,
    late_weight_decay: float | None = None,
    late_at: int | str | None = None,
    retire: float | None = None,
    retire_side: str | None = None,
    readout: bool | None = None,
    dtype: str | None = None,
    train_indices: Numbers | None = None,
    test_indices: Numbers | None = None,
    targets: Numbers | None = None,
    metrics: str | Schedule | None = None,
    checkpoints: str | Schedule | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    executor: Any = None,
    progress: Watcher | None = None,
    shards_done: Counter | None = None,
    told: Callable[[str], None] | None = None,
    **unknown_settings: Never,
) -> Run:
    """Train one network or many at once, by the recipe of the task where a setting is left out.

    None means the recipe's value of a setting, or the default named below where the recipe does not set it.
    ``interp train TASK --help`` shows the recipe of a task.

    A network's ``seed`` seeds everything random: data and split, initial weights, order of the batches and dropout.
    ``data_seed``, ``init_seed`` and ``order_seed`` each replace it for one of the three. Without any of them the data have the
    task's own seed (``"addition:seed=3"``), and the others 0.

    Args:
        task: a spec such as ``"modular:p=113,train_fraction=0.3"``, or a Task.
        model: a config, or a spec such as ``"mlp:hidden=48,d_embed=12"`` whose fields replace the recipe's.
        members: the networks of the run: per network a mapping of its own settings, as `interp.grid` and `interp.seeds` make
            them: seeds, every setting below but ``steps``, ``epochs``, ``metrics``, ``checkpoints``,
            ``dtype`` and ``name``, options of the task such as ``p`` or ``label_noise``, ``model`` (a spec), fields of its
            config such as ``hidden`` or ``dropout``, and ``width`` and ``depth`` for the hidden layers of an MLP. Networks
            of one shape train in one block. A number n is ``seeds(n)``. One network by default.
        optimizer: ``"sgd"``, ``"adam"`` (weight decay as L2), ``"adamw"`` (decoupled), or an `Optimizer`; ``"adamw"``.
        lr: learning rate, per step; 1e-3.
        weight_decay: per step, as the optimizer defines it; 0.
        embedding_lr: learning rate of the embeddings; that of the network.
        decoder_lr: learning rate of everything but the embeddings; that of the network.
        last_lr: learning rate of the last layer; the decoder's.
        embedding_weight_decay: weight decay of the embeddings; that of the network.
        decoder_weight_decay: weight decay of everything but the embeddings; that of the network.
        last_weight_decay: weight decay of the last layer; the decoder's.
        betas: decay rates of Adam's two moments; (0.9, 0.999).
        eps: added to Adam's denominator; 1e-8.
        momentum: of SGD; 0.
        nesterov: use Nesterov's momentum in SGD; False.
        grokfast: (alpha, lamb): ``h <- alpha h + (1 - alpha) g`` and ``g <- g + lamb h`` amplify the slow part of the gradient
            g (Grokfast); no filter.
        perp_grad: take the part along the weights out of each parameter's gradient, keeping its norm; False.
        steps: number of updates.
        epochs: the same in passes over the train set; give one of the two. 100 passes where the recipe has neither. Where
            members need different numbers of updates for a pass, all make as many as the one that needs most.
        lr_times_steps: in place of both: each network makes ``lr_times_steps / lr`` updates at its own learning rate.
        batch_size: examples per update, at most as many as train, or ``"full"`` for the whole train set; the whole train set.
        warmup: steps over which the learning rates rise linearly from 0; 0.
        lr_schedule: ``"constant"``, or from the warm-up to the last step ``"linear:FINAL"``, ``"cosine:FINAL"``,
            ``"exponential:FINAL"`` with the final factor on the rates, or ``"step:SIZE:GAMMA"``; ``"constant"``.
        init: initial weights: ``"normal"`` (variance 1/fan-in), ``"truncated"`` (cut at two deviations) or ``"torch"``
            (as torch's modules draw them); or weights to start from: a Subject, a hooked model, tensors by the names of the
            parameters, or the path of anything that `load` reads, such as ``"start.npz"`` or
            ``"runs/a@step=0,member=2"``. Members may differ. Without ``model``, that network is trained; a split and targets
            that come with it are taken where none are given. Optimizers start anew; `resume` goes on with a run.
            ``"normal"``.
        mask: a network, or tensors by name, in the same forms: weights that are 0 there are 0 from the start and stay 0,
            exactly, whatever the optimizer (lottery tickets); no mask.
        init_scale: every initial parameter is multiplied by this, given ones too; 1. A recipe's scales are for weights that
            are drawn.
        embedding_scale: the embeddings' initial parameters are also multiplied by this; 1.
        l1: adds ``l1 * sum |theta|`` to the loss; 0.
        norm_penalty: subtracts ``norm_penalty * sum theta^2`` from the loss, so that the norm grows; 0.
        entropy_penalty: adds ``entropy_penalty * H(W)`` to the loss, ``H(W) = -sum |w| ln |w|`` over the weight matrices; 0.
        sparsity_penalty: adds this times ``sigmoid((|a| - sparsity_tau) / sparsity_width)``, mean over units, hidden layers
            and examples; 0.
        sparsity_tau: an activation below it counts as off; 0.01.
        sparsity_width: of the step from off to on; 0.1.
        complexity_penalty: adds this times ``KL(p(y|x; W) || p(y|x; W'))``, mean over the examples, with a random share of
            weights set to 0 in W', drawn anew at every update; 0.
        complexity_share: that share; 0.1.
        complexity_scope: the weights are those of one matrix, drawn anew too (``"layer"``), or of all
            (``"network"``); ``"layer"``.
        label_smoothing: in the cross-entropy that is minimised, this share of each label is spread over all answers; what is
            measured stays without; 0.
        softmax_dtype: precision of the softmax in the loss that is minimised, ``"float32"`` or ``"float64"``; ``"float64"``.
        frozen: parameters that stay as they were drawn: names, modules (``"layers.0"``), groups (``"embedding"``, ``"decoder"``,
            ``"last"``) or globs (``"blocks.*.attn"``), a list or with commas; none.
        fixed_norm: after every update, bring the whole ``"network"`` (or True) or each ``"parameter"`` back to its initial
            norm; False.
        clip_norm: the gradient of each network is clipped to this Euclidean norm; no clipping.
        normalise: divide the gradient of each network by its norm; False.
        late_weight_decay: what the weight decay of everything that decays becomes at ``late_at``; no change.
        late_at: a step, or ``"memorised"``: for each network when its train accuracy first exceeds 0.999; ``"memorised"``.
        retire: stop networks whose train and test accuracy (0 to 1) have both reached this; all train to the end.
        retire_side: ``">="``, this accuracy is reached when it is met; ``">"``, when it is exceeded; ``">="``.
        readout: compute a transformer's last block only where the answer is read: same losses, less work; True.
        dtype: of the weights, ``"float32"`` or ``"float64"``; ``"float32"``.
        train_indices: which of the task's examples train, in this order: a list, array or tensor of indices, a mask, or the
            path of a file (npz, npy, torch, JSON or text; ``FILE@NAME`` names one array of several); as the task says.
        test_indices: which are tested on; all others.
        targets: for the loss ``vectors``, the target vector of every answer ``[answer, dim]``, in the same forms; drawn.
        metrics: when to measure: ``every(100)``, ``log_spaced(60, steps)``, ``"log:60"``, ``"0,10,100"``, or ``"epoch"``;
            200 times, evenly spaced.
        checkpoints: when to save the weights, in the same forms; 40 times, evenly spaced in the logarithm of the step.
        name: what the run calls itself; the task's spec.
        out: a new folder for the run; by default a temporary one that is removed together with the Run.
        device: ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        executor: ``"process:4"`` or ``"dask:ADDRESS"``, or a Dask cluster or client such as ``SLURMCluster``, spreads the
            members over workers, which must all see ``out``.
        progress: called with a `Progress` as the run advances; by default a notebook shows a bar.
        shards_done: with an executor: called with the members done and all members.
        told: called before the training with what a user should know: a split that forbids a test accuracy above 0.9
            (or ``retire``), by default a warning; a recipe's batch that is larger than the train set.
        **unknown_settings: refused.

    Returns:
        the finished run.

    Raises:
        UnknownName: a setting that does not exist; the nearest are named.
        InterpError: anything that does not fit; nothing is written then.
        WorkersLost: an executor whose workers or scheduler are gone; the message has the command that goes on.
        RunInterrupted: Ctrl-C; `resume` continues the run.
    """
    plan = make_plan(
        make_task(task), model, members=members, optimizer=optimizer, lr=lr,
        weight_decay=weight_decay, embedding_lr=embedding_lr, decoder_lr=decoder_lr, last_lr=last_lr,
        embedding_weight_decay=embedding_weight_decay, decoder_weight_decay=decoder_weight_decay,
        last_weight_decay=last_weight_decay, betas=betas, eps=eps, momentum=momentum, nesterov=nesterov, grokfast=grokfast,
        perp_grad=perp_grad, lr_schedule=lr_schedule, entropy_penalty=entropy_penalty, sparsity_penalty=sparsity_penalty,
        sparsity_tau=sparsity_tau, sparsity_width=sparsity_width, complexity_penalty=complexity_penalty,
        complexity_share=complexity_share, complexity_scope=complexity_scope, label_smoothing=label_smoothing,
        softmax_dtype=softmax_dtype, frozen=frozen, fixed_norm=fixed_norm, lr_times_steps=lr_times_steps, steps=steps,
        epochs=epochs, batch_size=batch_size, warmup=warmup, init=init, init_scale=init_scale, mask=mask,
        train_indices=train_indices, test_indices=test_indices, targets=targets,
        embedding_scale=embedding_scale, l1=l1, norm_penalty=norm_penalty, clip_norm=clip_norm, normalise=normalise,
        late_weight_decay=late_weight_decay, late_at=late_at, retire=retire,
        retire_side=retire_side, readout=readout, dtype=dtype, metrics=metrics,
        checkpoints=checkpoints, name=name, **unknown_settings,
    )  # fmt: skip
    temporary = out is None
    folder = Path(tempfile.mkdtemp(prefix="interp-run-")) if out is None else Path(out)
    if executor is None:
        with shown(progress) as watcher:
            start(plan, folder, device, watcher, partial(tell, told))
    else:
        _in_shards(plan, folder, executor, device, shards_done, partial(tell, told))
    run = Run(folder)
    if temporary:
        weakref.finalize(run, shutil.rmtree, run.path, ignore_errors=True)
    return run


def _in_shards(
    plan: Plan, folder: Path, executor: str, device: str, done: Counter | None,
    note: Callable[[Plan, Sequence[Counts]], None],
) -> None:  # fmt: skip
    workers = parse_executor(executor)
    counts = check_plan(plan)
    note(plan, counts)
    train_in_shards(RunDirectory.create(folder, plan, counts), workers, device, done)


def resume(
    path: str | Path | Run,
    *,
    steps: int | None = None,
    device: str = "auto",
    executor: Any = None,
    progress: Watcher | None = None,
    shards_done: Counter | None = None,
    **unknown_settings: Never,
) -> Run:
    """Train the run in a folder to its end, or on to a larger number of steps.

    Everything else stays as it was planned.

    Args:
        path: the run's folder, or the run.
        steps: number of updates in all, not fewer than planned; as planned by default.
        device: ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        executor: for a run that was begun with one: ``"process:4"``, ``"dask:ADDRESS"``, a Dask cluster or client.
        progress: called with a `Progress` as the run advances; by default a notebook shows a bar.
        shards_done: with an executor: called with the members done and all members.
        **unknown_settings: refused.

    Returns:
        the finished run.

    Raises:
        UnknownName: a setting other than ``steps``.
        InterpError: no run, a damaged one, fewer steps than planned, an executor for a run that was begun without one.
        RunInterrupted: Ctrl-C.
    """
    for other in unknown_settings:
        known = ("steps", "device", "executor", "progress", "shards_done")
        raise UnknownName(
            f"{unknown('argument of resume', other, known)}; a run keeps its settings, only steps can be raised"
        )
    if not isinstance(path, (str, Path, Run)):
        raise InterpError(f"resume takes the folder of a run, or a Run, got {kind_of(path)}")
    path = path.path if isinstance(path, Run) else Path(path)
    if (path / "shards").is_dir():
        if steps is not None:
            raise InterpError(f"{path} is not finished: resume it as it was planned first, then raise its steps")
        train_in_shards(RunDirectory.open(path), parse_executor(executor), device, shards_done)
    elif executor is not None:
        raise InterpError(f"{path} was not begun in shards, or they are merged: resume it without --executor")
    else:
        with shown(progress) as watcher:
            proceed(path, steps, device, watcher)
    return Run(path)
