#!/usr/bin/env bash
# Renews requirements.lock (what kpsbatch needs to run) and requirements-dev.lock (that and the test tools), with
# hashes and for Python 3.10 to 3.12. Needs uv. What mediapipe only declares, and what only that needs, stays out.
set -euo pipefail
cd "$(dirname "$0")/.."
leave_out=(jax jaxlib ml-dtypes opt-einsum scipy sentencepiece sounddevice cffi pycparser opencv-contrib-python)
args=(--universal --python-version 3.10 --fork-strategy fewest --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet)
for name in "${leave_out[@]}"; do args+=(--no-emit-package "$name"); done
{ echo "# pip install --no-deps --require-hashes -r requirements.lock    (made by scripts/lock.sh)"
  uv pip compile pyproject.toml "${args[@]}"; } | grep -v '^# The following packages\|^# *[a-z-]*$' >requirements.lock.new
mv requirements.lock.new requirements.lock
{ echo "# pip install --no-deps --require-hashes -r requirements-dev.lock    (made by scripts/lock.sh)"
  uv pip compile pyproject.toml --extra dev --constraint requirements.lock "${args[@]}"; } | grep -v '^# The following packages\|^# *[a-z-]*$' >requirements-dev.lock.new
mv requirements-dev.lock.new requirements-dev.lock
