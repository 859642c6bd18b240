"""How a section of a report was made: the call in a notebook and the line in a shell that give it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from interp.plugins.analysis import analyses
from interp.subject import Subject

LOADED = ("task", "layout", "key")  # arguments of `interp.load` that are options of the command line as well


def how_made(subject: Subject, name: str, context: Mapping[str, Any]) -> dict[str, str]:
    """The calls that give a section again.

    Args:
        subject: what was analysed.
        name: of the analysis.
        context: of its result.

    Returns:
        ``python`` and ``shell``; the latter is empty for a network that no file holds, which a shell cannot name.
    """
    given, dtype, seed = _given(name, context.get("options", {})), str(context.get("dtype", "")), context.get("seed", 0)
    return {
        "python": f"{_loading(subject)}\n{_analysis(name, given, dtype, seed)}",
        "shell": _shell(subject, name, given, dtype, seed) if subject.origin else "",
    }


def _given(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were not left at their defaults; all of them where the analysis is not known here."""
    known = analyses()[0].get(name)
    defaults = {o.name: o.default for o in known.options} if known else {}
    return {k: v for k, v in options.items() if k not in defaults or defaults[k] != v}


def _opened(subject: Subject) -> dict[str, Any]:
    """The arguments of `interp.load`, without the source and those left at their defaults."""
    origin = dict(subject.origin)
    arguments = {k: origin.get(k) for k in LOADED if origin.get(k) is not None}
    if origin.get("member"):
        arguments["member"] = origin["member"]
    steps = None if subject.series is None else subject.series.steps
    if subject.step is not None and steps and subject.step != steps[-1]:
        arguments["step"] = subject.step
    return arguments


def _loading(subject: Subject) -> str:
    if not subject.origin:
        return f"subject = ...  # {subject.name}, made in memory"
    arguments = "".join(f", {k}={v!r}" for k, v in _opened(subject).items())
    return f"subject = interp.load({subject.origin['source']!r}{arguments})"


def _analysis(name: str, given: Mapping[str, Any], dtype: str, seed: Any) -> str:
    options = f", {{{name!r}: {dict(given)!r}}}" if given else ""
    how = f", dtype=torch.{dtype}" if dtype and dtype != "float64" else ""
    how += f", seed={seed!r}" if seed else ""
    return f"interp.analyze(subject, {name!r}{options}{how})[{name!r}]"


def _shell(subject: Subject, name: str, given: Mapping[str, Any], dtype: str, seed: Any) -> str:
    words = ["interp", "analyze", str(subject.origin["source"])]
    words += [word for k, v in _opened(subject).items() for word in (f"--{k}", str(v))]
    words += ["--only", name]
    words += [word for k, v in given.items() for word in ("--set", f"{name}.{k}={_typed(v)}")]
    words += ["--dtype", dtype] if dtype and dtype != "float64" else []
    words += ["--seed", str(seed)] if seed else []
    return shlex.join(words)


def _typed(value: Any) -> str:
    """A value as it is typed after ``--set``."""
    return value if isinstance(value, str) else repr(value)
