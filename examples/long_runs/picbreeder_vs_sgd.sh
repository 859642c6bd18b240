#!/bin/bash
# Twins of the evolved skull: width 1 and 2, with and without weight decay, and width 4 with the Gaussian units held at the
# evolved number. Half an hour on one busy core. The source's own size, for a GPU (its decay of 1e-3 is in the lists):
#
#     SIZE=256 STEPS=100000 WIDE_STEPS=100000 DECAYS=0,1e-3,1e-2 WIDE_DECAYS=1e-3 examples/long_runs/picbreeder_vs_sgd.sh
#
# AdamW shrinks a weight that the loss does not hold by exp(-learning rate * decay * steps). The largest decays here, 0.03
# over 3,000 steps and 0.3 over 1,000 at a lower rate, shrink it as the source's 1e-3 does over its 100,000: to about 0.75.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=$(realpath "${INTERP_DATA:-data}") RUNS=$(realpath -m "${RUNS:-runs/picbreeder_vs_sgd}")
SIZE=${SIZE:-48} STEPS=${STEPS:-3000} WIDE_STEPS=${WIDE_STEPS:-1000}
DECAYS=${DECAYS:-0,1e-3,1e-2,3e-2} WIDE_DECAYS=${WIDE_DECAYS:-1e-3,0.3}
mkdir -p "$RUNS"
cp "$DATA/picbreeder/skull.zip" "$RUNS"
here=$PWD
cd "$RUNS"
interp draw skull.zip skull.png --force
twins() { # NAME OPTIONS...: a run and, beside it, the command that made it
    echo "interp train image --target skull.png --arch-of skull.zip ${*:2}" > "$1.command"
    interp train image --target skull.png --arch-of skull.zip "${@:2}" --out "$1"
}
twins width1 --size "$SIZE" --steps "$STEPS" --metrics every:50 --weight-decay "$DECAYS" --width 1
twins width2 --size "$SIZE" --steps "$STEPS" --metrics every:50 --weight-decay "$DECAYS" --width 2
# at four times the width the source's rate of 3e-3 did not train: a lower one, warmed up
twins width4-gaussian-adjusted --size "$SIZE" --steps "$WIDE_STEPS" --metrics every:50 --weight-decay "$WIDE_DECAYS" \
    --width 4 --variant gaussian-adjusted --lr 1e-3 --warmup 100
python "$here/long_runs/picbreeder_vs_sgd.py" "$RUNS" "$here/measured"
