#!/bin/bash
# Does regularisation unify, beyond what generalisation does? Does width? Modular addition (p = 29) and parity over weight decay,
# train fraction, width, initial scale and optimiser, five seeds a cell; twins of nine evolved pictures. An hour on one core;
# what is done is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=$(realpath "${INTERP_DATA:-data}") RUNS=$(realpath -m "${RUNS:-runs/fractured_or_unified}")
STEPS=${STEPS:-3000} SGD_STEPS=${SGD_STEPS:-6000} EPOCHS=${EPOCHS:-300} TWIN_STEPS=${TWIN_STEPS:-2000} SIZE=${SIZE:-48}
mkdir -p "$RUNS"
here=$PWD
cd "$RUNS"
networks() { # NAME OPTIONS...: a run and, beside it, the command that made it
    [ -e "$1.command" ] && return
    if [ -e "$1/run.json" ]; then interp train --resume "$1"; else interp train "${@:2}" --out "$1"; fi
    echo "interp train ${*:2}" > "$1.command"
}
addition() { # NAME OPTIONS...
    networks "$1" modular --p 29 --batch-size full --lr 0.003 --steps "$STEPS" --warmup 10 --metrics every:100 --checkpoints "0,$STEPS" "${@:2}"
}
parity() { # NAME OPTIONS...
    networks "$1" parity --n 20 --k 3 --metrics epoch --epochs "$EPOCHS" --checkpoints every:100000 "${@:2}"
}
mlp=mlp:d_embed=32,hidden
addition decay --model $mlp=128 --weight-decay 0,0.1,0.3,1,3 --train-fraction 0.5,0.7,0.9 --seeds 5
addition scale --model $mlp=128 --weight-decay 0,1 --train-fraction 0.7 --init-scale 0.5,2,4 --seeds 5
for width in 32 512; do
    addition "width$width" --model $mlp=$width --weight-decay 0,1 --train-fraction 0.7 --seeds 5
done
addition adam --model $mlp=128 --optimizer adam --weight-decay 0,0.0001,0.001 --train-fraction 0.7 --seeds 5
networks sgd modular --p 29 --batch-size 64 --lr 0.1 --momentum 0.9 --steps "$SGD_STEPS" --metrics every:200 --checkpoints "0,$SGD_STEPS" \
    --model $mlp=128 --optimizer sgd --weight-decay 0,0.0003,0.001 --train-fraction 0.7 --seeds 5
parity parity_decay --model mlp:hidden=128 --n-train 300,1000 --weight-decay 0,0.003,0.01,0.03 --seeds 5
for width in 32 512; do
    parity "parity_width$width" --model mlp:hidden=$width --n-train 1000 --weight-decay 0,0.01 --seeds 5
done
for genome in "$DATA"/picbreeder/*.zip "$DATA"/picbreeder_cppnx/*.xml; do
    name=$(basename "${genome%.*}")
    [ -e "$name.png" ] || interp draw "$genome" "$name.png" --force
    networks "twin_$name" image --target "$name.png" --arch-of "$genome" --size "$SIZE" --steps "$TWIN_STEPS" --metrics every:500 --seeds 2
done
INTERP_DATA=$DATA python "$here/long_runs/fractured_or_unified.py" "$RUNS" "$here/measured"
