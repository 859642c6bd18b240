#!/bin/sh
# MNIST at scale 8 (progress_measures.ipynb), the published recipe: as it is, with the norm raised, with dropout. 32,000 of the
# source's 100,000 steps, 24,000 with dropout. Writes examples/measured/progress_measures_*.csv; 10 minutes on one quiet core.
#
#     examples/long_runs/progress_measures.sh [FOLDER FOR THE RUNS]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
data=${INTERP_DATA:-$here/data}
out=${1:-$(mktemp -d)}
common="--path $data/mnist --n-train 1000 --n-test 1000 --metrics every:500 --checkpoints every:1000"

interp train digits $common --norm-penalty 0,2e-10 --steps 32000 --out "$out/mnist"
interp train digits $common --model mlp:dropout=0.3 --steps 24000 --out "$out/dropout"
python "$here/long_runs/progress_measures_curves.py" "$out" "$here/measured"
