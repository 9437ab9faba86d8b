#!/usr/bin/env bash
# build.sh DIST SBOM.json: builds and checks the package, and lists what an installation brings (CycloneDX), with the tools
# of requirements-release.lock alone, which pip compares with their hashes. PYTHON=... chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=$(readlink -m "$1") sbom=$(readlink -m "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in tools installed; do "${PYTHON:-python3}" -m venv "$work/$name"; done
"$work/tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-release.lock
"$work/installed/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements.lock
"$work/tools/bin/python" -m build --no-isolation --outdir "$dist" .
"$work/tools/bin/python" -m twine check --strict "$dist"/*
"$work/tools/bin/cyclonedx-py" environment "$work/installed/bin/python" --output-format JSON --output-file "$sbom"
