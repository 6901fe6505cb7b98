#!/bin/sh
# A stand-in for micromamba that downloads nothing: an environment is a link to the Python that the base image has.
# It makes the peer faster than it is with the real one.
set -eu
case "$1" in
config) exit 0 ;;
create | install) ;;
*) echo "micromamba stand-in: $1 is not known" >&2; exit 1 ;;
esac
python=$(command -v python3)
bin=/opt/micromamba/envs/runtime/bin
mkdir -p "$bin"
for name in python python3 "$(basename "$(readlink -f "$python")")"; do
  ln -sf "$(readlink -f "$python")" "$bin/$name"
done
