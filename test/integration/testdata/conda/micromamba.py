"""Stands in for micromamba, with conda's other solver and installer (rattler): channels are directories beside this file.

usage: micromamba.py create|install -n NAME --root-prefix ROOT [-c CHANNEL]... SPEC...
"""

import argparse
import asyncio
import pathlib
import sys

from rattler import Channel, MatchSpec, VirtualPackage, install, solve

p = argparse.ArgumentParser()
p.add_argument("verb", choices=["create", "install"])
p.add_argument("-n", required=True)
p.add_argument("--root-prefix", type=pathlib.Path, required=True)
p.add_argument("-c", action="append", default=[])
p.add_argument("specs", nargs="+")
args = p.parse_intermixed_args()
prefix = args.root_prefix / "envs" / args.n
known = (prefix / "conda-meta").is_dir()
if args.verb == "create" and known:
    sys.exit(f"error    Found conda-prefix at '{prefix}'. Overwrite?: [y/N] Aborted.")
if args.verb == "create" and prefix.exists():
    sys.exit(f"critical libmamba Non-conda folder exists at prefix: {prefix}")
if args.verb == "install" and not known:
    sys.exit(f"critical libmamba No prefix found at: {prefix}")


async def main():
    records = await solve(
        sources=[Channel((pathlib.Path(__file__).parent / c).as_uri()) for c in args.c],
        specs=[MatchSpec(s) for s in args.specs],
        platforms=["linux-64", "noarch"],
        virtual_packages=VirtualPackage.detect(),
        add_pip_as_python_dependency=True,
    )
    for r in records:
        print("  +", r.name.normalized, r.version)
    await install(records, target_prefix=prefix, cache_dir=args.root_prefix / "pkgs", show_progress=False)


asyncio.run(main())
