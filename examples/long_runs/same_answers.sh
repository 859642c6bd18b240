#!/bin/sh
# Networks that give the same answers, compared inside: ten seeds of a transformer on p = 53, and skulls, evolved and trained.
# A quarter of an hour on two cores; same_answers.ipynb reads what it writes to measured/.
#
#     INTERP_DATA=data examples/long_runs/same_answers.sh
#
# A run that was stopped goes on with "interp train --resume"; one that is there already is not trained again.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
DATA=${INTERP_DATA:-$here/data}
RUNS=${RUNS:-runs}
mkdir -p "$RUNS"
# one split for all, so that the held-out sums are held out for every network
[ -e "$RUNS/same_answers_p53" ] || interp train modular --p 53 --train-fraction 0.46 --data-seed 2 --init-seed 0:9:10 \
    --order-seed 2 --weight-decay 1.5 --warmup 0 --steps 8000 --metrics every:50 --checkpoints every:200 \
    --model transformer:d_model=48,n_heads=4,d_head=12,d_mlp=192 --out "$RUNS/same_answers_p53"
cp "$DATA/picbreeder/skull.zip" "$RUNS/skull.zip"
interp draw "$RUNS/skull.zip" "$RUNS/skull.png" --force
[ -e "$RUNS/same_answers_skull" ] || (cd "$RUNS" && interp train image --target skull.png --arch-of skull.zip --size 64 \
    --steps 20000 --seed 0,1,2 --metrics every:200 --checkpoints log:2 --out same_answers_skull)
python "$here/long_runs/same_answers.py" "$RUNS" "$DATA" "$here/measured"
