"""Keys of the cache: everything that a measure's result depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interp._util.versions import __version__
from interp.history.cache import contents_digest, file_digest, key
from interp.series import weights_digest
from interp.subject import Subject
from interp.tasks import task_to_dict


class CacheKeys:
    """The keys of one subject's results: checkpoint, version, task, config, dtype, device, member, measure and options.

    Args:
        subject: one whose task, if any, can be stored (`Task.storable`): examples given as tensors fit in no key.
    """

    def __init__(self, subject: Subject):
        self.subject = subject
        task = None if subject.task is None else task_to_dict(subject.task)
        read = [str(subject.origin.get(name)) for name in ("layout", "key", "dtype")]
        read += [contents_digest(Path(str(getattr(subject.task, name)))) for name in getattr(subject.task, "paths", ())]
        config, member = subject.model.config.to_dict(), int(subject.origin.get("member", 0))
        self._common = [__version__, task, config, str(subject.precision), subject.model.device.type, member, *read]

    def digest(self, step: int) -> list[Any]:
        """What tells a checkpoint from all others; empty where its results cannot be cached.

        A network in memory, which may have been edited, is identified by its weights.

        Returns:
            The step and the digest of the weights or of their file.
        """
        series = self.subject.series
        if series is None or len(series) == 1:
            return [step, weights_digest(self.subject.model)]
        entry = next(e for e in series.entries if e.step == step)
        if not self.subject.origin:  # which member of the file the series opens is unknown
            return []
        try:
            return [step, file_digest(entry.path), entry.key]
        except OSError:  # deleted since the series was listed
            return []

    def of(self, digest: list[Any], label: str, name: str, fingerprint: str, options: Mapping[str, Any]) -> str:
        """The key of one result.

        Args:
            digest: of the checkpoint; without one the key is empty.
            label: ``measure``, or ``anchor`` for options that the last checkpoint settles.
            name: of the measure.
            fingerprint: of the measure's source.
            options: of the measure.

        Returns:
            A hexadecimal digest, or an empty string for a result that is not cached.
        """
        return key(digest, *self._common, label, name, fingerprint, dict(options)) if digest else ""
