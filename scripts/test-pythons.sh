#!/usr/bin/env bash
# Runs the fast tests on the oldest and the newest Python of this machine (of PATH or pyenv), from 3.10 to 3.14.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=(tests/test_api.py tests/models/test_build.py tests/landmarks/test_network_files.py tests/cli/test_cli.py tests/config/test_config.py tests/dataset/test_images.py tests/dataset/test_frame_folder.py tests/dataset/test_source.py
  tests/landmarks/test_mediapipe_import.py tests/store/test_reading.py tests/store/test_store.py tests/test_point_sets.py)

find_python() { # MINOR
  local python
  for python in "python3.$1" "$(pyenv root 2>/dev/null)/versions/3.$1".*/bin/python; do
    if "$python" -c '' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
}

minors=()
for minor in 10 11 12 13 14; do [ -z "$(find_python "$minor")" ] || minors+=("$minor"); done
[ ${#minors[@]} -gt 0 ] || { echo "no Python 3.10 to 3.14 on this machine"; exit 1; }
for minor in $(printf '%s\n' "${minors[0]}" "${minors[-1]}" | sort -nu); do
  PYTHON=$(find_python "$minor") scripts/setup.sh ".venv.3.$minor" requirements-dev.lock
  echo "fast tests on $(".venv.3.$minor/bin/python" --version)"
  ".venv.3.$minor/bin/python" -m pytest -q -n auto --maxprocesses 8 --dist worksteal "${tests[@]}"
done
