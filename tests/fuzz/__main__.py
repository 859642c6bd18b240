"""``python -m tests.fuzz``: 20,000 mutated inputs; exit code 1 if any was neither read nor refused."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.runner import replay, run_all
from tests.fuzz.targets import targets


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="how many, over all targets")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each target")
    parser.add_argument("--target", action="append", choices=sorted(targets()), help="only this one; may be repeated")
    parser.add_argument(
        "--replay", type=int, help="use one input of the target outside of a worker, and show the traceback"
    )
    given = parser.parse_args()
    chosen = [t for name, t in targets().items() if given.target is None or name in given.target]
    if given.replay is not None:
        with tempfile.TemporaryDirectory() as root:
            (good := Path(root) / "good").mkdir()
            chosen[0].make(good)
            chosen[0].use(replay(chosen[0], given.replay, good, Path(root) / "input"))
        return 0
    failures = run_all(chosen, given.inputs, given.first)
    for (target, what, said), count in Counter((f.target, f.what, f.said[:120]) for f in failures).most_common(60):
        first = next(f.number for f in failures if (f.target, f.what, f.said[:120]) == (target, what, said))
        print(f'{count:5} x {target}: {what}: {said}  (--target "{target}" --replay {first})')
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
