"""Tables of the runs of progress_measures.sh, one per network.

python progress_measures_curves.py RUNS TABLES
"""

import sys
from pathlib import Path

from progress_measures import curves

import interp

if __name__ == "__main__":
    runs, tables = map(Path, sys.argv[1:])
    tables.mkdir(exist_ok=True)
    for name, folder, member in (("published", "mnist", 0), ("norm_penalty", "mnist", 1), ("dropout", "dropout", 0)):
        table = curves(interp.Run(runs / folder), member)
        table.to_csv(tables / f"progress_measures_{name}.csv", float_format="%.5g")
        print(name, len(table), "checkpoints")
