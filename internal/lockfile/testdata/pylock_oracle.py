"""Has packaging.pylock (26.3 or newer) say what an installer takes from a pylock.toml.

Reads [{"python": "3.11.2", "machine": "x86_64", "libc": ["glibc", 2, 36]}, ...] from stdin; the argument is the lock. Writes for each environment
{"files": {name: file, or kind of source}} or {"error": reason}.
"""
import json
import pathlib
import sys
import tomllib

import packaging._manylinux
import packaging._musllinux
import packaging.tags
from packaging.pylock import PackageArchive, PackageDirectory, PackageVcs, Pylock


def tags(version, machine, libc):
    kind, major, minor = libc
    glibc = (major, minor) if kind == "glibc" else (-1, -1)
    packaging._manylinux._get_glibc_version = lambda: glibc
    packaging._manylinux._have_compatible_abi = lambda *_: kind == "glibc"
    packaging._musllinux._get_musl_version = lambda _: packaging._musllinux._MuslVersion(major, minor) if kind == "musl" else None
    packaging.tags.sysconfig.get_platform = lambda: "linux-" + machine
    platforms = list(packaging.tags._linux_platforms(is_32bit=False))
    abi = "cp%d%d" % version[:2]
    return [
        *packaging.tags.cpython_tags(version[:2], [abi], platforms),
        *packaging.tags.compatible_tags(version[:2], abi, platforms),
    ]


def answer(lock, want):
    full = want["python"].split("rc")[0]
    version = tuple(int(n) for n in full.split("."))
    environment = {
        "implementation_name": "cpython", "implementation_version": full, "os_name": "posix", "platform_machine": want["machine"],
        "platform_python_implementation": "CPython", "platform_release": "", "platform_system": "Linux", "platform_version": "",
        "python_full_version": full, "python_version": "%d.%d" % version[:2], "sys_platform": "linux",
    }
    try:
        files = {}
        for package, source in lock.select(environment=environment, tags=tags(version, want["machine"], want["libc"])):
            kinds = {PackageVcs: "git", PackageDirectory: "directory", PackageArchive: "archive"}
            files[package.name] = kinds.get(type(source)) or source.filename
        return {"files": files}
    except Exception as e:
        return {"error": str(e) or repr(e)}


lock = Pylock.from_dict(tomllib.loads(pathlib.Path(sys.argv[1]).read_text()))
json.dump([answer(lock, want) for want in json.load(sys.stdin)], sys.stdout)
