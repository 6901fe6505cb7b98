#!/usr/bin/env bash
# demo.sh: imgspecd at work, in a minute: `make demo` builds the program and starts this.
#
# A daemon on a temporary state directory watches a copy of examples/hello. Its image gets ready in the embedded OCI
# layout, and in Docker if one runs. Then the lock changes, as `uv lock --upgrade-package httpx` would change it.
# Nothing of it stays: daemon, state and Docker images go when it ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

imgspecd=$PWD/bin/imgspecd
[ -x "$imgspecd" ] || { echo "demo: build it first: make build" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/imgspecd-demo.XXXXXX")
export IMGSPECD_STATE_DIR=$work/state IMGSPECD_SOCKET=$work/run/imgspecd.sock
daemon=
images=()

say()  { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
show() { printf '$ %s\n' "$*"; "$@"; }
now()  { local t=${EPOCHREALTIME:-}; t=${t/[.,]/}; if [ -n "$t" ]; then echo "${t%???}"; else date +%s000; fi; } # ms

finish() {
  [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" || true; }
  for image in ${images[@]+"${images[@]}"}; do docker rmi -f "$image" >/dev/null 2>&1 || true; done
  rm -rf "$work"
}
trap finish EXIT

# The base image: Python's own from the public registry, or, where that cannot be reached, one made here.
public_registry() {
  if command -v curl >/dev/null; then
    curl -sS -m 8 -o /dev/null https://registry-1.docker.io/v2/ 2>/dev/null
  else
    timeout 8 bash -c '</dev/tcp/registry-1.docker.io/443' 2>/dev/null
  fi
}
if [ -z "${IMGSPECD_BASE_DEFAULT:-}" ] && ! public_registry; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "demo: no public registry can be reached, and only root on Debian can make a base image here." >&2
    echo "demo: name one that can be reached: IMGSPECD_BASE_DEFAULT=REGISTRY/python:3.11-slim make demo" >&2
    exit 1
  fi
  say "No public registry can be reached: the base image is made here, with debootstrap (a minute or two, once)"
  test/rig/rig up layout
  eval "$(test/rig/rig env | grep IMGSPECD_TEST_BASE_LAYOUT)"
  export IMGSPECD_BASE_DEFAULT=oci:$IMGSPECD_TEST_BASE_LAYOUT:python:3.11-slim
fi

cp -R examples/hello "$work/hello"
cd "$work/hello"

say "The daemon"
printf '$ imgspecd serve &\n'
"$imgspecd" serve >"$work/log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
  "$imgspecd" status >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
imgspecd() { "$imgspecd" "$@"; }

say "It watches a project: one ImageSpec, and its uv.lock"
show imgspecd watch .
show imgspecd image --wait=5m || { cat "$work/log" >&2; exit 1; }
first=$(imgspecd image)
images+=("$first")
show imgspecd status

say "The lock changes: httpx gets a newer version"
printf '$ cp uv.lock.next uv.lock\n'
start=$(now)
cp uv.lock.next uv.lock
until second=$(imgspecd image 2>/dev/null) && [ "$second" != "$first" ]; do
  [ $(($(now) - start)) -lt 120000 ] || { imgspecd status; cat "$work/log" >&2; exit 1; }
  sleep 0.02
done
printf 'ready %d ms after the save: %s\n' $(($(now) - start)) "$second"
images+=("$second")
show imgspecd status
show imgspecd explain

if imgspecd status --json | grep -q '"docker"' && command -v docker >/dev/null && docker image inspect "$second" >/dev/null 2>&1; then
  say "Docker has it"
  printf '$ docker run --rm $(imgspecd image) python -c "import httpx; print(httpx.__version__)"\n'
  docker run --rm "$second" python -c 'import httpx; print(httpx.__version__)'
fi
say "That was all. Next: imgspecd serve, and imgspecd watch in a project of yours."
