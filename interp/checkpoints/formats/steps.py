"""Training steps as people write them in names of files and in keys: ``step_100``, ``1e3``, ``2.5k``, ``epoch=9-step=157``."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import PurePath
from typing import NamedTuple

NUMBER = r"\d+(?:\.\d+)?(?:[eE]\+?\d{1,2})?[kKmM]?"
_FACTORS = {"k": 1_000, "m": 1_000_000}
_TIMES = r"(?:global[-_ ]?)?steps?|iterations?|iters?|its?|checkpoints?|ckpts?|updates?", r"epochs?|ep"
_WORD = re.compile(
    rf"(?<![a-z])(?:{'|'.join(_TIMES)}|snapshots?|history|trajectory|over[-_ ]?time)(?![a-z])", re.IGNORECASE
)
# numbers behind these words count something else than time
_OTHERS = re.compile(
    r"(?<![a-z])(?:seeds?|runs?|members?|replicas?|trials?|attempts?|folds?|splits?|ranks?|shards?|parts?|workers?|gpus?|"
    r"width|dim|hidden|layers?|heads?|depth|size|batch|bs|lr|wd|decay|frac|fraction|temp|scale|alpha|beta|gamma|eps|noise|"
    r"loss|acc|accuracy|score|reward|val|test|train|version|ver|ids?|no|nr|exp|d_model|d_mlp|[pnkvdhl])[-_=. ]?$",
    re.IGNORECASE,
)
# words behind which networks of one folder that differ are not one run at several steps
_SETTINGS = re.compile(
    r"(?<![a-z])(seed|run|member|replica|trial|attempt|fold|split|width|d_model|d_mlp|wd|weight_decay|decay|frac|fraction|p)s?"
    r"[-_=. ]?(\d+(?:\.\d+)?(?:e-?\d+)?)(?![a-z0-9])",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?<!\d)20\d\d-?[01]\d-?[0-3]\d(?:[-_T ]?[0-2]\d[-_:h]?[0-5]\d(?:[-_:m]?[0-5]\d)?)?(?!\d)")
_SUFFIX = re.compile(
    r"\.(?:pt|pth|ckpt|bin|pkl|pickle|safetensors|npz|npy|xml|h5|hdf5|keras|msgpack|json|index|zip|gz|tar)$",
    re.IGNORECASE,
)


class Named(NamedTuple):
    """A step that a name states.

    Attributes:
        step: the number.
        said: whether a word says that it is a step or an epoch; a bare number only looks like one.
    """

    step: int
    said: bool


def step_number(text: object) -> int | None:
    """A whole number as people write steps.

    Args:
        text: a whole number, or a text that holds nothing else.

    Returns:
        The number; None for anything else.

    >>> [step_number(t) for t in ("1e3", "2.5k", "10K", "1M", "007", 5, "1.5", "x1", True)]
    [1000, 2500, 10000, 1000000, 7, 5, None, None, None]
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text if text >= 0 else None
    if not isinstance(text, str) or not re.fullmatch(NUMBER, text) or len(text) > 20:
        return None
    factor = _FACTORS.get(text[-1].lower(), 1)
    value = Decimal(text[:-1] if factor > 1 else text) * factor
    return int(value) if value == value.to_integral_value() and value < 2**62 else None


def step_in_name(name: str) -> Named | None:
    """The training step in the name of a file or in a key.

    The number beside step, iteration or checkpoint, else beside epoch, else the last whole one that no other word claims
    (``seed3``, ``lr0.1``, ``loss_0.52``).

    Args:
        name: of a file, with or without its suffix, or a key.

    Returns:
        The step, and whether the name says that it is one; None where there is none.

    >>> step_in_name("ckpt_1e3.pt"), step_in_name("epoch=9-step=1570.ckpt"), step_in_name("mlp_2.5k.pth")
    (Named(step=1000, said=True), Named(step=1570, said=True), Named(step=2500, said=False))
    >>> step_in_name("net_seed3.pt"), step_in_name("best.pt"), step_in_name("100_steps_lr0.1.pt")
    (None, None, Named(step=100, said=True))
    >>> step_in_name("net_2024-01-05_12-30-00.pt")
    """
    stem = PurePath(name).name
    while _SUFFIX.search(stem):
        stem = _SUFFIX.sub("", stem)
    stem = _DATE.sub("", stem)
    for word in _TIMES:
        behind = re.findall(rf"(?<![a-z])(?:{word})[-_=. ]{{0,2}}({NUMBER})(?![a-z0-9])", stem, re.IGNORECASE)
        before = re.findall(rf"(?<![a-z0-9.])({NUMBER})[-_ ]?(?:{word})(?![a-z])", stem, re.IGNORECASE)
        steps = [s for s in map(step_number, behind or before) if s is not None]
        if steps:
            return Named(steps[-1], True)
    bare = [
        step
        for found in re.finditer(rf"(?<![0-9.])(?<!e-)({NUMBER})(?![a-z0-9.])", stem, re.IGNORECASE)
        if not _OTHERS.search(stem[: found.start()]) and (step := step_number(found.group(1))) is not None
    ]
    return Named(bare[-1], False) if bare else None


def settings_in_name(name: str) -> dict[str, str]:
    """What a name says of the run that it is from: seed, width, weight decay and the like.

    Args:
        name: of a file.

    Returns:
        Values as they are written, by word.

    >>> settings_in_name("step_100_seed0_wd=1.0.pt"), settings_in_name("epoch=3-step=400.ckpt")
    ({'seed': '0', 'wd': '1.0'}, {})
    """
    return {word.lower(): value for word, value in _SETTINGS.findall(_SUFFIX.sub("", PurePath(name).name))}


def speaks_of_time(name: object) -> bool:
    """Whether a key or a file's name says that what it holds is one network over time.

    Args:
        name: a key, or a file's name.

    Returns:
        True where it holds a word such as step, epoch, checkpoint or history.

    >>> [speaks_of_time(n) for n in ("checkpoints", "all_steps.pt", "state_dicts_by_epoch", "attempts", "models", "steppe")]
    [True, True, True, False, False, False]
    """
    return isinstance(name, str) and _WORD.search(name) is not None
