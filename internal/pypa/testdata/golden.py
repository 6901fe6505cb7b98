"""Writes golden.json: what the Python package "packaging" answers, for TestPackaging.

    python testdata/golden.py > testdata/golden.json
"""
import hashlib
import itertools
import json

import packaging
import packaging._manylinux as manylinux
import packaging._musllinux as musllinux
from packaging import tags
from packaging.markers import Marker
from packaging.specifiers import Specifier
from packaging.version import InvalidVersion, Version

VERSIONS = """1.0 1.0.0 1 0 0.0 1.0.1 1.1 1.10 2.0 1.0a1 1.0.a1 1.0-alpha1 1.0alpha 1.0b2 1.0beta2 1.0rc1 1.0c1 1.0preview3
1.0.dev1 1.0dev 1.0a1.dev2 1.0rc1.dev3 1.0.post1 1.0-1 1.0.rev4 1.0r4 1.0post 1.0.post1.dev2 1.0a1.post3 1.0a1.post3.dev1 1.0+cpu
1.0+cu118 1.0+cu121 1.0+1 1.0+01 1.0+a.1 1.0+a.b 1.0+1.2 1.0+1.a 1.0+ABC 1.0+a-b_c 1.0.post1+x 1!1.0 1!0.5 0!2.0 v1.0 3.10 3.9
3.11.2 3.14.0rc1 2026.7.22 20240101 1.0.0.0.1 2.0.dev0 2.0a0""".split()
BAD = ["", "1.", ".1", "1..0", "a", "1.0+", "1.0+a..b", "1.0-", "1.0post1post2", "1.0 1", "1!", "1!!0", "1.0.*", "==1.0", "1.0rc1rc2", "1,0"]
SPECIFIERS = """==1.0 ==1.0.0 ==1 ==1.0.* ==1.* !=1.0 !=1.0.* ==1.0+cpu !=1.0+cpu ==1.0a1 ~=1.0 ~=1.0.0 ~=1.0a1 ~=1.0.post1 <1.0 <=1.0
>1.0 >=1.0 <1.0a1 <1.0.post1 >1.0.post1 >1.0a1 <2.0 <2.0.dev0 >=1.0.dev0 ===1.0 ===1.0+cpu ===1.0A1 ==1!1.0 ==1!1.* >=1!0 >=3.10
<3.14 ~=3.9 !=3.11.* >=3.10.0 <4 >=1.0rc1 <1.1.dev1""".split()
MARKERS = [
    "python_version >= '3.10'", "python_version < '3.9'", "python_version == '3.11'", "python_version != '3.11'",
    "python_full_version >= '3.11.4'", "python_full_version < '3.11.2'", "python_full_version == '3.11.*'", "python_full_version != '3.11.*'",
    "'3.10' <= python_version", "'3.12' > python_version", "python_version ~= '3.9'", "python_version > '3.11'", "python_version <= '3.11'",
    "sys_platform == 'linux'", "sys_platform != 'win32'", "os_name == 'posix'", "platform_system == 'Linux' and platform_machine == 'x86_64'",
    "platform_machine in 'x86_64 aarch64'", "platform_machine not in 'aarch64'", "'linux' in sys_platform", "'win' not in sys_platform",
    "implementation_name == 'cpython'", "platform_python_implementation != 'PyPy'", "implementation_version >= '3.11'",
    "sys_platform == 'win32' or sys_platform == 'linux' and python_version < '3.8'",
    "(sys_platform == 'win32' or sys_platform == 'linux') and python_version >= '3.8'",
    "os_name == \"nt\" or (python_version >= '3.8' and (platform_machine == 'arm64' or sys_platform == 'linux'))",
    "extra == 'cpu'", "extra != 'cpu'", "extra == 'CPU' and python_version >= '3.8'", "'cpu' == extra", "python_version>='3.8'and(os_name=='posix')",
]


def version(text):
    try:
        v = Version(text)
    except InvalidVersion:
        return {"text": text, "bad": True}
    return {"text": text, "normal": str(v), "pre": v.is_prerelease}


def environment_tags(minor, arch, kind, libc, free=False):
    if kind == "glibc":
        manylinux._get_glibc_version = lambda: libc
        manylinux._have_compatible_abi = lambda exe, archs: True
        manylinux._is_compatible = lambda a, v: True
        platforms = [*manylinux.platform_tags([arch]), "linux_" + arch]
    else:
        musllinux._get_musl_version = lambda exe: musllinux._MuslVersion(*libc)
        platforms = [*musllinux.platform_tags([arch]), "linux_" + arch]
    cp = f"cp3{minor}"
    found = [*tags.cpython_tags((3, minor), [cp + "t" * free], platforms), *tags.compatible_tags((3, minor), cp, platforms)]
    text = "\n".join(map(str, found))
    return {"python": f"3.{minor}.1", "free": free, "arch": arch, "libc": [kind, *libc], "count": len(found), "first": str(found[0]),
            "sha256": hashlib.sha256(text.encode()).hexdigest()}


parsed = [version(v) for v in VERSIONS + BAD]
good = sorted({p["normal"]: Version(p["normal"]) for p in parsed if "normal" in p}.values())
env = {"implementation_name": "cpython", "implementation_version": "3.11.4", "os_name": "posix", "platform_machine": "x86_64",
       "platform_python_implementation": "CPython", "platform_system": "Linux", "platform_release": "", "platform_version": "",
       "python_full_version": "3.11.4", "python_version": "3.11", "sys_platform": "linux"}
print(json.dumps({
    "packaging": packaging.__version__,
    "versions": parsed,
    "order": [[str(v) for v in group] for _, group in itertools.groupby(good, key=lambda v: v._key if hasattr(v, "_key") else v)],
    "specifiers": [{"spec": s, "in": [str(v) for v in good if Specifier(s).contains(v, prereleases=True)]} for s in SPECIFIERS],
    "markers": [{"marker": m, "extra": e, "holds": Marker(m).evaluate({**env, "extra": e})} for m in MARKERS for e in ["", "cpu"]],
    "tags": [environment_tags(minor, arch, kind, libc, free)
             for minor, free in (*((m, False) for m in range(8, 15)), (13, True), (14, True))
             for arch in ("x86_64", "aarch64", "armv7l")
             for kind, libc in (("glibc", (2, 17)), ("glibc", (2, 36)), ("musl", (1, 2)))],
}, indent=0))
