#!/usr/bin/env bash
# On a machine with a GPU: whether each installed backend finds on it what it finds on the processor, and how much faster.
# Run it with: benchmarks/gpu.sh [BACKEND …]
set -euo pipefail
cd "$(dirname "$0")/.."
export TF_CPP_MIN_LOG_LEVEL=3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# -eq 0 ]; then
    for backend in jax torch tensorflow; do
        if python3 -c "import $backend" 2>/dev/null; then set -- "$@" "$backend"; fi
    done
fi
for backend in "$@"; do
    echo "== $backend"
    export KERAS_BACKEND=$backend
    CUDA_VISIBLE_DEVICES= JAX_PLATFORMS=cpu python3 benchmarks/gpu.py "$work/$backend.npz"
    python3 benchmarks/gpu.py "$work/$backend.npz"
done
