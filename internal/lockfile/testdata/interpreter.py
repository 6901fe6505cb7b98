#!/usr/bin/env python3
"""Stands in for a Python that this machine does not have: uv asks it what it is, and gets FAKE_PYTHON.

FAKE_PYTHON is {"version": "3.13.9", "machine": "aarch64", "libc": ["glibc", 2, 36]}. Anything but uv's question goes to the real Python.
"""
import json
import os
import subprocess
import sys

me = os.path.abspath(sys.argv[0])
real = os.path.realpath(sys.executable)
done = subprocess.run([real, *sys.argv[1:]], stdout=subprocess.PIPE, env={k: v for k, v in os.environ.items() if k != "PYTHONHOME"})
try:
    info = json.loads(done.stdout)
    info["markers"]
except (ValueError, KeyError, TypeError):
    sys.stdout.buffer.write(done.stdout)
    sys.exit(done.returncode)

want = json.loads(os.environ["FAKE_PYTHON"])
minor = ".".join(want["version"].split(".")[:2])
markers = info["markers"]
have = "python%d.%d" % sys.version_info[:2]
kind, major, libc_minor = want["libc"]

venv = os.path.dirname(os.path.dirname(me))
prefix = info["sys_prefix"]
inside = os.path.exists(os.path.join(venv, "pyvenv.cfg"))


def rewrite(value):
    if isinstance(value, dict):
        return {k: rewrite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rewrite(v) for v in value]
    if isinstance(value, str):
        if inside and value.startswith(prefix):
            value = venv + value[len(prefix):]
        return value.replace(have, "python" + minor)
    return value


for key in ("scheme", "site_packages"):
    if key in info:
        info[key] = rewrite(info[key])
if inside:
    info["sys_prefix"] = info["sys_exec_prefix"] = venv
info["sys_executable"] = me
info["sys_base_executable"] = os.path.realpath(me)
markers.update(implementation_version=want["version"], python_full_version=want["version"], python_version=minor, platform_machine=want["machine"])
# uv's own question changed over time: the system was one value and became two.
system = {"name": {"glibc": "manylinux", "musl": "musllinux"}[kind], "major": major, "minor": libc_minor}
if "platform" in info:
    info["platform"] = {"os": system, "arch": want["machine"]}
else:
    info["os"], info["arch"] = system, want["machine"]
info["manylinux_compatible"] = True
json.dump(info, sys.stdout)
