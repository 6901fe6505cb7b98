"""What can be told without a daemon. How whole workflows fare is in test/integration."""

from __future__ import annotations

import io
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from imgspecd import _daemon, _progress, find_binary


@pytest.mark.parametrize(
    ("env", "want"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/h"}, "/run/user/1/imgspecd/imgspecd.sock"),
        ({"XDG_RUNTIME_DIR": "run", "HOME": "/h"}, "/h/.local/state/imgspecd/run/imgspecd.sock"),
        ({"HOME": "/h"}, "/h/.local/state/imgspecd/run/imgspecd.sock"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/s"}, "/s/imgspecd/run/imgspecd.sock"),
        ({"IMGSPECD_STATE_DIR": "/o", "XDG_STATE_HOME": "/s"}, "/o/run/imgspecd.sock"),
        ({"IMGSPECD_SOCKET": "/o.sock", "XDG_RUNTIME_DIR": "/run/user/1"}, "/o.sock"),
        ({}, ""),
    ],
)
def test_the_socket_is_where_the_daemon_puts_it(monkeypatch: Any, env: Any, want: str) -> None:
    for name in ("IMGSPECD_SOCKET", "IMGSPECD_STATE_DIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert _daemon.socket_path() == want


def test_no_daemon_and_none_to_start(monkeypatch: Any, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("IMGSPECD_SOCKET", str(tmp_path / "none.sock"))
    monkeypatch.setenv("IMGSPECD_BIN", "/nowhere/imgspecd")
    with pytest.raises(_daemon.Unreachable, match="starting it failed"):
        _daemon.Daemon.find()
    monkeypatch.setenv("IMGSPECD_AUTOSTART", "0")
    with pytest.raises(_daemon.Unreachable, match="No such file"):
        _daemon.Daemon.find()


def test_the_binary_is_found_beside_the_package_first(monkeypatch: Any, tmp_path: pathlib.Path) -> None:
    binary = tmp_path / "imgspecd"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.delenv("IMGSPECD_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() in (str(binary), os.path.join(os.path.dirname(sys.executable), "imgspecd"))
    monkeypatch.setenv("IMGSPECD_BIN", "/told")
    assert find_binary() == "/told"


def test_progress_is_one_line_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    image = {"label": "churn/train", "state": "building", "detail": "fetching"}
    image["progress"] = [{"step": "fetch", "bytes": 1e6, "bytes_total": 3e6, "items": 0, "items_total": 1}]  # type: ignore[assignment]
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = _progress.Progress(stream)
        progress.show(image)
        progress.show(image)
        progress.end()
    assert "\n" not in terminal.getvalue()
    assert "churn/train: building: fetch 1.0/3.0 MB" in terminal.getvalue()
    assert file.getvalue() == "imgspecd: churn/train: building (fetching)\n"


def test_importing_the_plugin_asks_nobody(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("flytekit")
    code = (
        "import sys, flytekit\n"
        "before = set(sys.modules)\n"
        "import imgspecd.flytekit_plugin\n"
        "from flytekit.image_spec.image_spec import ImageBuildEngine, ImageSpec\n"
        "new = {m for m in sys.modules if m not in before}\n"
        "assert new <= {'imgspecd', 'imgspecd.flytekit_plugin'}, new\n"
        "assert ImageSpec(name='x').builder == 'imgspecd'\n"
        "assert type(ImageBuildEngine._get_builder('default')).__name__ == 'DefaultImageBuilder'\n"
    )
    env = {**os.environ, "IMGSPECD_SOCKET": str(tmp_path / "none.sock")}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_a_spec_is_told_as_flytekit_holds_it() -> None:
    flytekit = pytest.importorskip("flytekit")
    from flytekit.constants import CopyFileDetection

    from imgspecd import _flytekit

    spec = flytekit.ImageSpec(
        name="Demo",
        builder="default",
        base_image=flytekit.ImageSpec(name="base", builder="default"),
        source_root=".",
        source_copy_mode=CopyFileDetection.NO_COPY,
        pip_secret_mounts=[("a", "/b")],
        builder_options={"n": 1.5, "inf": float("inf"), "__path__": pathlib.PurePosixPath("x")},
    )
    told = _flytekit._fields(spec)
    assert told["name"] == "demo"
    assert told["base_image"]["__imagespec__"]["name"] == "base"
    assert told["source_copy_mode"] == {"__copymode__": "NO_COPY"}
    assert told["pip_secret_mounts"] == [{"__tuple__": ["a", "/b"]}]
    assert told["builder_options"] == {
        "__dict__": [["n", 1.5], ["inf", {"__float__": "inf"}], ["__path__", {"__path__": "x"}]]
    }


def _layers(image: Any, tmp_path: pathlib.Path) -> Any:
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    (tmp_path / "options.txt").write_text("-r requirements.txt\n")
    return {
        "fits": image.with_env_vars({"A": "b"}).with_apt_packages("git").with_pip_packages("idna", "six"),
        "a file": image.with_requirements(tmp_path / "requirements.txt").with_commands(["true"]),
        "options": image.with_requirements(tmp_path / "options.txt"),
        "order": image.with_commands(["true"]).with_pip_packages("idna"),
        "expanded": image.with_env_vars({"PATH": "/x:$PATH"}),
        "copied": image.with_source_file(tmp_path / "requirements.txt"),
        "pre": image.with_pip_packages("idna", pre=True),
        "two indexes": image.with_pip_packages("idna").with_pip_packages("six", index_url="https://a.example.com"),
    }


@pytest.mark.parametrize(
    ("case", "want"),
    [
        ("fits", {"env": {"A": "b"}, "apt_packages": ["git"], "packages": ["idna", "six"]}),
        ("a file", {"requirements": "kept", "commands": ["true"]}),
        ("options", "options.txt holds options"),
        ("order", "PipPackages after commands"),
        ("expanded", "Env PATH"),
        ("copied", "CopyConfig is no layer"),
        ("pre", "pre=True"),
        ("two indexes", "different indexes"),
    ],
)
def test_layers_of_flyte_2(monkeypatch: Any, tmp_path: pathlib.Path, case: str, want: Any) -> None:
    flyte = pytest.importorskip("flyte")
    from imgspecd import _flyte
    from imgspecd._request import CannotBuild

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image = flyte.Image.from_base("python:3.12-slim").clone(name="demo", registry="r.example.com/x", extendable=True)
    image = _layers(image, tmp_path)[case]
    if isinstance(want, str):
        with pytest.raises(CannotBuild, match=want):
            _flyte.describe(image)
        return
    told = _flyte.describe(image)
    assert told["name"] == image.uri == f"r.example.com/x/demo:{told['tag']}"
    spec = told["spec"]
    if "requirements" in want:
        assert pathlib.Path(spec["requirements"]).read_text() == "six==1.17.0\n"
        want["requirements"] = spec["requirements"]
    common = {"name": "demo", "builder": "envd", "registry": "r.example.com/x", "base_image": "python:3.12-slim"}
    assert spec == {**common, "platform": "linux/amd64", "tag_format": told["tag"], **want}


def test_the_id_is_flytekits_own(tmp_path: pathlib.Path) -> None:
    flyte, flytekit = pytest.importorskip("flyte"), pytest.importorskip("flytekit")
    from imgspecd import _flyte

    image = flyte.Image.from_base("python:3.12-slim").clone(name="demo", extendable=True)
    told = _flyte.describe(image.with_pip_packages("idna").with_env_vars({"A": "b"}).with_commands(["true"]))
    spec = flytekit.ImageSpec(**told["spec"])
    assert (spec.id, spec.tag, spec.image_name()) == (told["id"], told["tag"], told["name"])
