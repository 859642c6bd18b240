#!/bin/bash
# Does regularisation unify, beyond what generalisation does? Does width? Modular addition (p = 53) and parity over weight decay,
# train fraction, width, initial scale and optimiser, six seeds a cell; twins of eight evolved pictures. Half an hour on one core;
# what is done is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=$(realpath "${INTERP_DATA:-data}") RUNS=$(realpath -m "${RUNS:-runs/fractured_or_unified}")
STEPS=${STEPS:-3000} EPOCHS=${EPOCHS:-300} TWIN_STEPS=${TWIN_STEPS:-2000} SIZE=${SIZE:-48} SEEDS=${SEEDS:-6}
mkdir -p "$RUNS"
here=$PWD
cd "$RUNS"
networks() { # NAME OPTIONS...: a run and, beside it, the command that made it
    [ -e "$1.command" ] && return
    if [ -e "$1/run.json" ]; then interp train --resume "$1"; else interp train "${@:2}" --out "$1"; fi
    echo "interp train ${*:2}" > "$1.command"
}
addition() { # NAME WIDTH FRACTION OPTIONS...: the recipe of Vaintrob et al., p = 53
    networks "$1" modular --p "${P:-53}" --model "mlp:d_embed=12,hidden=$2,act_fn=gelu" --train-fraction "$3" --batch-size 128 \
        --lr 0.005 --steps "$STEPS" --metrics every:100 --checkpoints "0,$STEPS" --seeds "$SEEDS" "${@:4}"
}
parity() { # NAME WIDTH EXAMPLES OPTIONS...
    networks "$1" parity --n 20 --k 3 --model "mlp:hidden=$2" --n-train "$3" --metrics epoch --epochs "$EPOCHS" \
        --checkpoints every:100000 --seeds "$SEEDS" "${@:4}"
}
for fraction in 0.6 0.8 0.95; do
    addition "decay$fraction" 48 $fraction --optimizer adamw --weight-decay 0,0.03,0.1,0.3
done
addition scale 48 0.95 --optimizer adamw --weight-decay 0,0.3 --init-scale 0.5,2
for width in 16 192; do
    addition "width$width" $width 0.95 --optimizer adamw --weight-decay 0,0.3
done
addition adam 48 0.95 --optimizer adam --weight-decay 0,0.0002,0.001
addition sgd 48 0.95 --optimizer sgd --lr 0.1 --momentum 0.9 --weight-decay 0,0.0003
P=113 STEPS=6000 addition p113 96 0.8 --optimizer adamw --weight-decay 0,0.3
for examples in 300 1000; do
    parity "parity_decay$examples" 128 $examples --weight-decay 0,0.003,0.01,0.03
done
for width in 32 512; do
    parity "parity_width$width" $width 1000 --weight-decay 0,0.01
done
for genome in "$DATA"/picbreeder/*.zip "$DATA"/picbreeder_cppnx/*.xml; do
    name=$(basename "${genome%.*}")
    case $name in cppnx_576_Skull | cppnx_4376_ButterflyColor) continue ;; esac # the two zip files once more
    [ -e "$name.png" ] || interp draw "$genome" "$name.png" --force
    networks "twin_$name" image --target "$name.png" --arch-of "$genome" --size "$SIZE" --steps "$TWIN_STEPS" --metrics every:500 --seeds 2
done
INTERP_DATA=$DATA python "$here/long_runs/fractured_or_unified.py" "$RUNS" "$here/measured"
