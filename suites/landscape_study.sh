#!/bin/sh
# Does the picture of Li et al. 2018 appear on digits, with which spread, under which treatment of BN?
#
#     sh suites/landscape_study.sh [OUT]          # half an hour of two cores; goes on where it was stopped
#
# Five trainings each of plain-20, plain-56, ResNet-20 and ResNet-56, as `resbench degradation` trains them, each along
# filter-normalised directions of its own: 25 x 25 points from -1 to 1 over 256 images.
set -e
out=${1:-results/landscape}
mkdir -p "$out"
for bn in recompute eval train; do
    for seeds in 1 3 5; do # a run that is stopped has kept its points
        resbench landscape plain20 plain56 resnet20 resnet56 --seeds $seeds --bn $bn --points 25 --images 256 \
            --dir "${RUNS:-runs}" -o "$out/$bn.json.gz"
    done
    resbench landscape plain56 resnet56 --bn $bn --points 25 --images 256 --dir "${RUNS:-runs}" \
        --plot "$out/$bn.svg" > "$out/$bn.txt"
done
