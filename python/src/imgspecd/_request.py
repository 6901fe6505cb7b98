"""One image, asked of the daemon: what flytekit's plug-in and Flyte's have in common."""

from __future__ import annotations

import os
import time
from typing import Callable, NoReturn

import click

from imgspecd._daemon import Daemon, Json, Refused, Unreachable
from imgspecd._progress import Progress

BACK = 5.0  # seconds that a daemon which went away has to come back; a service manager starts it anew after 2
SETTLE = 30.0  # seconds that an image may be waiting for a file which the run has just read
FINAL = ("ready", "failed", "canceled", "superseded", "listed")


class CannotBuild(Exception):
    """The daemon is there, and this image is none that it can make."""


# For which another builder may be asked: nobody answers, or the daemon has no image to give.
FAILURES = (Unreachable, Refused, CannotBuild)


class Request:
    """One image at the daemon. ``describe`` gives the body of PUT /v1/specs."""

    def __init__(self, daemon: Daemon, name: str, describe: Callable[[], Json]) -> None:
        self.daemon = daemon
        self.name = name
        self.describe = describe
        self.force = False  # build what is ready, too
        self.push = False  # it is to go to its registry
        self.strict = False  # what cannot be known is a failure
        self.known = False  # before this run
        self.progress = Progress()

    def look(self) -> Json:
        """The image as it stands, told to the daemon if it does not know it, or knows it from runs alone:
        what no run asks for is forgotten in time."""
        image = self.daemon.find_image(self.name, os.getcwd())
        self.known = image is not None
        if image is None or image["state"] == "waiting" or image["source"]["kind"] == "learned":
            try:
                image = self.daemon.put_spec(self.describe())
            except Refused as e:
                raise CannotBuild(str(e)) from None
            image = self._asked(image)
        return self._possible(image)

    def _asked(self, image: Json) -> Json:
        """Waits, shortly, until the daemon has asked the targets whether the image is there already."""
        end = time.monotonic() + SETTLE
        while image["state"] == "queued" and not image["build"] and time.monotonic() < end:
            time.sleep(0.05)
            image = self.daemon.image(image["label"])
        return image

    def _possible(self, image: Json) -> Json:
        error = image.get("error") or {}
        if image.get("mismatch") or image["state"] == "listed" or error.get("code") == "unsupported":
            why = error.get("message") or image["detail"] or "it is left to another builder"
            raise CannotBuild(f"{image['label']}: {why}")
        return image

    def build(self, image: Json) -> Json:
        return self.wait(self.start(image))

    def start(self, image: Json) -> Json:
        try:
            self.daemon.start_build(image["label"], self.force, self.push)
            return self.daemon.image(image["label"])
        except Refused as e:
            raise click.ClickException(f"imgspecd does not build {self.name}: {e}") from None

    def wait(self, image: Json) -> Json:
        try:
            since = time.monotonic()
            while True:
                if image["name"] != self.name:
                    now = image["name"]
                    raise click.ClickException(f"{self.name} is not built: its files changed, and it is {now} now")
                self.progress.show(image)
                if image["state"] in FINAL:
                    return self._possible(image)
                if image["state"] == "waiting" and time.monotonic() - since > SETTLE:
                    return image
                image = self._next(image)
        finally:
            self.progress.end()

    def _next(self, image: Json) -> Json:
        try:
            return self.daemon.image(image["label"], wait=0.5 if self.progress.live else 1)
        except Refused as e:
            raise click.ClickException(f"{self.name} is not built: {e}") from None
        except Unreachable as gone:
            try:
                self.daemon.again(BACK)
            except Unreachable:
                raise Unreachable(f"the daemon went away while it built: {gone}") from None
        return self.start(self.look())

    def unpushed(self, image: Json) -> bool:
        """Whether the image is to go to its registry yet. One whose registry the daemon never pushes to is not."""
        return self.push and any(t["name"] == "registry" and t["state"] != "ready" for t in image["targets"])

    def remark(self, image: Json) -> None:
        if self.push and not any(t["name"] == "registry" for t in image["targets"]):
            text = f"{self.name} is not in its registry: the daemon's registry.push is never"
            if self.strict:
                raise click.ClickException(f"{text}, and that must not be (FLYTE_IMG_FAST_FAIL)")
            click.secho(f"imgspecd: {text}.", fg="yellow", err=True)
        for why in image.get("differs") or []:
            text = f"imgspecd: built now it would differ: {why} (imgspecd build {image['label']})"
            click.secho(text, fg="yellow", err=True)

    def fail(self, image: Json) -> NoReturn:
        error = image.get("error") or {}
        lines = [f"imgspecd could not build {self.name}: {error.get('message') or image['detail'] or image['state']}"]
        lines += ["  " + line for line in (error.get("output") or [])[-15:]]
        if error.get("hint"):
            lines.append(error["hint"])
        lines.append(f"All of it: imgspecd logs {image['label']}")
        raise click.ClickException("\n".join(lines))


def definite(image: Json) -> bool:
    """Whether it would fail again: what is wrong is in a file, not in the world."""
    return (image.get("error") or {}).get("code") == "invalid"


def fallback() -> str:
    """What is done for images that the daemon does not give: another builder is asked, or it is an error."""
    return os.environ.get("IMGSPECD_FALLBACK", "").strip().lower() or "builder"


def may_fall_back(name: str, why: str) -> None:
    """Raises where no other builder may be asked."""
    allowed = fallback()
    if allowed == "error":
        raise click.ClickException(f"imgspecd: {why}\nIMGSPECD_FALLBACK=error: nobody else is asked for {name}.")
    if allowed != "builder":
        raise click.ClickException(f"IMGSPECD_FALLBACK is {allowed!r}; it must be builder or error")
