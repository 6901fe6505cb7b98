#!/bin/sh
# A program in one file, as micromamba is: what follows the script is an archive of a Python with rattler, and of channels.
set -eu
case "$1" in
config) echo "use_lockfiles: false" >>"$HOME/.condarc"; exit 0 ;;
esac
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
tail -c +@OFFSET@ "$0" | tar xzf - -C "$at"
PYTHONPATH=$at/site PYTHONDONTWRITEBYTECODE=1 "$at/python/bin/python3.11" "$at/micromamba.py" "$@"
exit 0
