#!/bin/sh
# The phase diagrams that effective_theory.ipynb reads from measured/effective_theory_*.csv, one row per network.
#
#     long_runs/effective_theory.sh toy coarse            toy addition: minutes on one core; written to measured/
#     long_runs/effective_theory.sh toy full              550 networks, an hour and a half on one core; written to measured/
#     long_runs/effective_theory.sh mnist coarse          minutes on one core; written to measured/
#     long_runs/effective_theory.sh transformer coarse    the same
#     long_runs/effective_theory.sh mnist full            days on a CPU: for a GPU
#     long_runs/effective_theory.sh transformer full      the same
#
# INTERP_DATA names the folder with MNIST's files (examples/README.md), RUNS where the runs go. A run that was stopped goes on with
# "interp train --resume".
set -eu
what=${1:?toy, mnist or transformer}
size=${2:?coarse or full}
here=$(cd "$(dirname "$0")/.." && pwd)
DATA=${INTERP_DATA:-$here/data}
RUNS=${RUNS:-runs}
run=$RUNS/effective_theory_${what}_$size

case "$what $size" in
"toy coarse") # 20,000 steps in place of 100,000, 54 networks
    interp train addition --seed 1 --decoder-lr 1e-5,1e-4,4e-4,8e-4,1.5e-3,2.2e-3,3e-3,5e-3,1e-2 \
        --decoder-weight-decay 0,1.5,3,5,7,8.5 --steps 20000 --metrics every:20 --retire 0.9 --checkpoints log:2 --out "$run"
    threshold=0.9
    ;;
"toy full") # the published diagram: five train sets a cell, whose test answers all occur among the train sums; 0.95 retires no network that one side of 0.9 still waits for
    interp train addition --seed 1,7,8,13,14 --grid decoder_lr=1e-5:1e-2:10:log --grid decoder_weight_decay=0:10:11 --steps 100000 \
        --metrics every:50 --retire 0.95 --checkpoints log:2 --out "$run"
    python "$here/long_runs/effective_theory_phases.py" "$here/measured/effective_theory_toy_published.csv" "$run"
    exit
    ;;
"mnist coarse") # 400 images in place of 1,000, 4,000 steps in place of 100,000, 15 networks; weight decay 30 was added after a grid to 3 had no confusion
    interp train digits --path "$DATA/mnist" --n-train 400 --n-test 1000 --steps 4000 --metrics every:100 --retire 0.6 \
        --grid last_lr=1e-4,1e-3,1e-2 --grid weight_decay=0.01,0.3,1,3,30 --checkpoints log:2 --out "$run"
    threshold=0.6
    ;;
"mnist full")
    interp train digits --path "$DATA/mnist" --n-train 1000 --steps 100000 --metrics every:200 --retire 0.6 \
        --grid last_lr=1e-5:1e-2:10:log --grid weight_decay=1e-3:10:9:log --checkpoints log:2 --out "$run"
    threshold=0.6
    ;;
"transformer coarse") # 48 dimensions in place of 256, 2,000 steps in place of 100,000, 9 networks
    interp train modular --p 53 --train-fraction 0.6 --model transformer:d_model=48,n_heads=4,d_head=12,d_mlp=192 \
        --warmup 0 --embedding-lr 1e-3 --embedding-weight-decay 0 --steps 2000 --metrics every:50 --retire 0.9 \
        --grid decoder_lr=2e-4,1e-3,5e-3 --grid decoder_weight_decay=0,1,5 --checkpoints log:2 --out "$run"
    threshold=0.9
    ;;
"transformer full")
    interp train modular --p 53 --train-fraction 0.6 --model transformer:d_model=256,n_heads=4,d_head=64,d_mlp=1024 \
        --warmup 0 --embedding-lr 1e-3 --embedding-weight-decay 0 --steps 100000 --metrics every:100 --retire 0.9 \
        --grid decoder_lr=1e-5:1e-2:10:log --grid decoder_weight_decay=0:10:11 --checkpoints log:2 --out "$run"
    threshold=0.9
    ;;
*)
    echo "there is no $what $size" >&2
    exit 2
    ;;
esac
interp analyze "$run" --only phases --set phases.threshold=$threshold --set "phases.side=>=" --out "$run/report"
sed -e '1s/$/,command/' -e "2,\$s/\$/,long_runs\/effective_theory.sh $what $size/" "$run/report/tables/phases.phases.csv" \
    >"$here/measured/effective_theory_$what.csv"
