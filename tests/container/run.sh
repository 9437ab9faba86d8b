#!/usr/bin/env bash
# Builds the image with a private Docker engine and tests it, then the same image under Apptainer: `make test-container`.
# Installs what it needs. Where an engine can't start the tests are skipped with the reason. Every step has a time limit.
# WORK=DIR keeps the base image and Apptainer for the next time.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
project=$(realpath "$here/../..")
export PYTHON=${PYTHON:-$project/.venv/bin/python}
if [ -n "${WORK:-}" ]; then mkdir -p "$WORK" && work=$(realpath "$WORK"); else work=$(mktemp -d); fi
chmod 755 "$work" # Apptainer's user goes through it

say() { echo "[container, ${SECONDS} s] $*"; }
skip() {
  echo "container tests skipped: $*"
  exit 0
}
clean_up() {
  [ -z "${apptainer_install:-}" ] || kill "$apptainer_install" 2>/dev/null || true
  [ -z "${engine:-}" ] || { kill "$engine" && wait "$engine"; } 2>/dev/null || true
  [ -n "${WORK:-}" ] || rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

[ "$(id -u)" = 0 ] || skip "a private Docker engine needs root"
if ! [ -x /usr/bin/docker ] || ! command -v dockerd mmdebstrap >/dev/null; then
  say "installing docker.io and mmdebstrap"
  { timeout 60 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 180 apt-get install -y -qq \
    --no-install-recommends docker.io mmdebstrap; } >"$work/apt.log" 2>&1 ||
    skip "docker.io and mmdebstrap can't be installed ($(tail -n 1 "$work/apt.log"))"
fi

say "starting a Docker engine"
export DOCKER_HOST=unix://$work/docker.sock DOCKER_BUILDKIT=1
docker=/usr/bin/docker # Debian's, with BuildKit inside; a newer one elsewhere on PATH may want a plugin for it
setsid dockerd --data-root "$work/docker" --exec-root "$work/docker-run" --pidfile "$work/dockerd.pid" -H "$DOCKER_HOST" \
  --iptables=false --ip6tables=false --bridge=none >"$work/dockerd.log" 2>&1 </dev/null &
engine=$!
for _ in $(seq 60); do
  timeout 5 "$docker" info >/dev/null 2>&1 && break
  kill -0 "$engine" 2>/dev/null || break
  sleep 0.5
done
timeout 5 "$docker" info >/dev/null 2>&1 || skip "the Docker engine can't start ($(grep -iE 'level=fatal|error|failed' "$work/dockerd.log" | tail -n 1))"

if [ ! -x "$work/apptainer/usr/bin/apptainer" ]; then
  timeout 240 "$here/apptainer.sh" install "$work/apptainer" >"$work/apptainer.log" 2>&1 & # beside what follows
  apptainer_install=$!
fi

if [ ! -s "$work/base.tar" ]; then
  say "making a stand-in for the base image"
  status=0
  timeout 180 "$here/base_image.sh" "$work/base.tar.new" >"$work/base.log" 2>&1 || status=$?
  [ "$status" != 77 ] || skip "no base image ($(tail -n 1 "$work/base.log"))"
  [ "$status" = 0 ] || { tail -n 20 "$work/base.log" >&2; exit 1; }
  mv "$work/base.tar.new" "$work/base.tar"
fi
"$docker" import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
  --change 'CMD ["python3"]' "$work/base.tar" python-slim-stand-in >/dev/null

say "building the image"
certificates=/etc/ssl/certs/ca-certificates.crt
{
  printf '[global]\ntimeout = 180\ncert = %s\n' "$certificates"
  "$PYTHON" -m pip config get global.index-url 2>/dev/null | sed 's/^/index-url = /' || true
} >"$work/pip.conf"
timeout 600 "$docker" build --progress=plain --network host --build-arg BASE_IMAGE=python-slim-stand-in \
  --secret "id=pip_conf,src=$work/pip.conf" --secret "id=ca_bundle,src=$certificates" \
  -f "$project/docker/Dockerfile" -t kpsbatch "$project" >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; exit 1; }

if [ -n "${apptainer_install:-}" ]; then
  say "waiting for Apptainer"
  wait "$apptainer_install" || rm -rf --one-file-system "$work/apptainer"
  apptainer_install=
fi
say "testing"
cd "$project"
KPSBATCH_TEST_WORK=$work timeout 400 "$PYTHON" -m pytest -p no:cacheprovider -rsP -q tests/container
say "done"
