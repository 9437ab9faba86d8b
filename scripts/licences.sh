#!/usr/bin/env bash
# licences.sh [SBOM.json]: renews docs/licences.md, the table of what requirements.lock installs, with its licences; and
# writes a CycloneDX list of it, if asked. Needs uv, and tools that it fetches for the occasion.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
{
  echo "# What an installation brings"
  echo
  echo "Made by \`make licences\` from an environment of requirements.lock. The models and the font are in [NOTICE](../NOTICE)."
  echo
  uvx --quiet pip-licenses --python "$python" --from=mixed --format=markdown --with-urls --ignore-packages pip setuptools wheel
} >docs/licences.new
mv docs/licences.new docs/licences.md
if [ $# -gt 0 ]; then
  uvx --quiet --from cyclonedx-bom cyclonedx-py environment "$python" --output-format JSON --output-file "$1"
fi
