"""The daemon's socket, with the standard library only. Loaded when a builder is used, not when flytekit is imported."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from typing import Any, Dict, List, Optional
from urllib.parse import quote, urlencode

from imgspecd import find_binary

Json = Dict[str, Any]

ANSWER = 60.0  # seconds; adding a project reads all its files
START = 20.0  # seconds that a daemon has to come up


class Unreachable(Exception):
    """No daemon answers, whatever the reason."""


class Refused(Exception):
    """The daemon answers, and not with what was asked for."""

    def __init__(self, status: int, error: Json) -> None:
        self.status = status
        self.code = str(error.get("code", ""))
        self.message = str(error.get("message", f"the daemon answers {status}"))
        self.hint = str(error.get("hint", ""))
        super().__init__(f"{self.message} ({self.hint})" if self.hint else self.message)


def socket_path() -> str:
    """Where the daemon listens; the same rule as api.SocketPath. Empty: the environment names no home."""
    told = os.environ.get("IMGSPECD_SOCKET")
    if told:
        return told
    run = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(run):
        return os.path.join(run, "imgspecd", "imgspecd.sock")
    state = os.environ.get("IMGSPECD_STATE_DIR", "")
    if not state:
        home = os.environ.get("HOME", "")
        above = os.environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(above):
            above = os.path.join(home, ".local", "state") if os.path.isabs(home) else ""
        state = os.path.join(above, "imgspecd") if above else ""
    return os.path.join(state, "run", "imgspecd.sock") if state else ""


def switched_on(variable: str, default: bool) -> bool:
    value = os.environ.get(variable, "").strip().lower()
    return default if not value else value not in ("0", "false", "no", "off", "never")


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("imgspecd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("this Python has no Unix sockets")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class Daemon:
    """Talks to the daemon. Each call is a connection of its own: they are few, and one that broke stays broken."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def find(cls) -> Daemon:
        """The daemon, started if it does not run and may be; with socket activation connecting starts it."""
        daemon = cls(socket_path())
        try:
            daemon.info()
        except Unreachable as first:
            if not switched_on("IMGSPECD_AUTOSTART", True):
                raise
            daemon._start(first)
        return daemon

    def _start(self, first: Unreachable) -> None:
        binary = find_binary()
        if binary is None:
            raise Unreachable(f"{first}, and no imgspecd command is here to start it")
        with tempfile.TemporaryFile() as said:  # a pipe would stay open as long as the daemon lives
            try:
                done = subprocess.run(
                    [binary, "serve", "--detach"],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    cwd="/",
                    timeout=START,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as e:
                raise Unreachable(f"{first}, and starting it failed: {e}") from None
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        if done.returncode != 0:
            raise Unreachable(f"{first}, and starting it failed: {lines[-1] if lines else done.returncode}")
        self.again(START)

    def again(self, seconds: float) -> None:
        """Waits until the daemon answers, as long as that."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.info()
                return
            except Unreachable:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def info(self) -> Json:
        return self._call("GET", "/v1/info", timeout=10)

    def image(self, ref: str, wait: float = 0) -> Json:
        query = "?" + urlencode({"wait": f"{wait:g}s"}) if wait else ""
        return self._call("GET", f"/v1/images/{quote(ref, safe='/:@')}{query}", timeout=ANSWER + wait)

    def images(self) -> List[Json]:
        images: List[Json] = self._call("GET", "/v1/images")["images"]
        return images

    def find_image(self, name: str, directory: str) -> Optional[Json]:
        """The image of that name; of several, that of the project around the directory."""
        try:
            found = self.image(name)
            return found if found["name"] == name else None  # a label can look like a name
        except Refused as e:
            if e.code == "not_found":
                return None
            if e.code != "conflict":
                raise
        several = [i for i in self.images() if i["name"] == name]
        here = os.path.join(os.path.realpath(directory), "")
        around = [i for i in several if here.startswith(os.path.join(i["dir"], ""))]
        return next(iter(around or several), None)

    def put_spec(self, spec: Json) -> Json:
        return self._call("PUT", "/v1/specs", spec)

    def start_build(self, label: str, force: bool, push: bool) -> Json:
        return self._call("POST", "/v1/builds", {"image": label, "force": force, "push": push})

    def _call(self, method: str, path: str, body: Optional[Json] = None, timeout: float = ANSWER) -> Json:
        self._check_owner()
        connection = _Connection(self.path, timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            raise Unreachable(f"no daemon answers at {self.path} ({reason or type(e).__name__})") from None
        finally:
            connection.close()
        try:
            value = json.loads(content)
        except ValueError:
            raise Unreachable(f"what answers at {self.path} is no imgspecd") from None
        if answer.status >= 300:
            raise Refused(answer.status, value.get("error") or {})
        return dict(value)

    def _check_owner(self) -> None:
        """Another user's socket is not asked: whoever answers there decides what a run runs on."""
        if not self.path:
            raise Unreachable("no daemon: neither XDG_RUNTIME_DIR nor HOME says where its socket is")
        if not hasattr(os, "geteuid"):
            return
        try:
            owner = os.stat(self.path).st_uid
        except OSError as e:
            raise Unreachable(f"no daemon at {self.path} ({e.strerror})") from None
        if os.geteuid() not in (owner, 0) and owner != 0:
            raise Unreachable(f"the socket {self.path} belongs to another user")
