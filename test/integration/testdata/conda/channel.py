"""Writes a small conda channel: a python of a stand-alone CPython, and noarch packages of what lies in directories.

usage: channel.py CHANNEL CPYTHON VERSION DIRECTORY...

A DIRECTORY is what `uv pip install --target` has made. Everything in the packages is laid out as conda-build does it.
"""

import asyncio
import configparser
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile

from rattler.index import index_fs

channel, cpython, version = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]


def package(subdir, name, version, build, files, depends=(), noarch=None, entry_points=()):
    index = {"name": name, "version": version, "build": build, "build_number": 0, "depends": list(depends), "subdir": subdir}
    info = {}
    if noarch:
        index["noarch"] = noarch
        info["link.json"] = {"noarch": {"type": noarch, "entry_points": list(entry_points)}, "package_metadata_version": 1}
    paths = []
    for path, source in sorted(files.items()):
        if isinstance(source, pathlib.Path) and source.is_symlink():
            data, kind = os.readlink(source).encode(), "softlink"
        else:
            data, kind = source if isinstance(source, bytes) else source.read_bytes(), "hardlink"
        paths.append({"_path": path, "path_type": kind, "sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)})
    info["index.json"], info["paths.json"] = index, {"paths": paths, "paths_version": 1}
    out = channel / subdir / f"{name}-{version}-{build}.tar.bz2"
    out.parent.mkdir(parents=True, exist_ok=True)

    def add(tar, path, data, mode=0o644):
        t = tarfile.TarInfo(path)
        t.size, t.mode = len(data), mode
        tar.addfile(t, io.BytesIO(data))

    with tarfile.open(out, "w:bz2", compresslevel=1) as tar:
        for path, content in info.items():
            add(tar, "info/" + path, json.dumps(content).encode())
        add(tar, "info/files", "".join(p + "\n" for p in sorted(files)).encode())
        for path, source in sorted(files.items()):
            if isinstance(source, bytes):
                add(tar, path, source)
            elif source.is_symlink():
                t = tarfile.TarInfo(path)
                t.type, t.linkname = tarfile.SYMTYPE, os.readlink(source)
                tar.addfile(t)
            else:
                add(tar, path, source.read_bytes(), source.stat().st_mode & 0o777)


def walk(root):
    return {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_symlink() or p.is_file()}


files = {p: f for p, f in walk(cpython).items() if "site-packages" not in p and "__pycache__" not in p and not p.startswith("bin/pip")}
package("linux-64", "python", version, "0_cpython", files)

for directory in map(pathlib.Path, sys.argv[4:]):
    info = next(directory.glob("*.dist-info"))
    name, release = info.name.removesuffix(".dist-info").split("-")
    files = {"site-packages/" + p: f for p, f in walk(directory).items() if not p.startswith((".", "bin/")) and "__pycache__" not in p}
    files[f"site-packages/{info.name}/INSTALLER"] = b"conda\n"
    files[f"site-packages/{info.name}/direct_url.json"] = json.dumps({"dir_info": {}, "url": "file:///home/conda/feedstock_root/build_artifacts/" + name}).encode()
    record = files[f"site-packages/{info.name}/RECORD"].read_text()
    files[f"site-packages/{info.name}/RECORD"] = (record + f"{info.name}/direct_url.json,,\n").encode()
    points = configparser.ConfigParser()
    points.read(info / "entry_points.txt")
    scripts = [f"{k} = {v}" for k, v in points.items("console_scripts")] if points.has_section("console_scripts") else []
    package("noarch", name, release, "py_0", files, ["python >=3.8"], "python", scripts)

asyncio.run(index_fs(channel, force=True))
sys.stdout.flush()
os._exit(0)  # rattler's threads may still be there, and an interpreter that is torn down under them can crash (seen once, 2026-11)
