"""How an ImageSpec is asked of the daemon. Loaded when flytekit asks for an image."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import platform
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

import click
import flytekit
from flytekit.image_spec.image_spec import ImageBuildEngine, ImageSpec, ImageSpecBuilder

from imgspecd._daemon import Daemon, Json
from imgspecd._request import FAILURES, CannotBuild, Request, definite, may_fall_back


class Asker:
    """Asks for images; ``own`` gives flytekit's builder of a name, for when the daemon cannot."""

    def __init__(self, own: Callable[[str], ImageSpecBuilder]) -> None:
        self._own = own
        self._left: Dict[str, ImageSpecBuilder] = {}  # by image name: what flytekit's own builders took
        self._asked: Dict[str, Tuple[Request, Json]] = {}  # by image name: what is to be built, and how it stood
        self._specs: Dict[str, ImageSpec] = {}  # by image name: specs as they were, with their bases' specs

    def should_build(self, spec: ImageSpec) -> bool:
        name = spec.image_name()
        self._specs[name] = self._whole(spec)
        try:
            return self._should_build(self._request(spec))
        except FAILURES as e:
            return bool(self._leave(spec, str(e)).should_build(spec))

    def _request(self, spec: ImageSpec) -> Request:
        name = spec.image_name()
        whole = self._specs.get(name) or self._whole(spec)
        ask = Request(Daemon.find(), name, lambda: describe(whole, name, spec))
        ask.force = bool(spec._is_force_push)
        ask.push = bool(spec.registry) and os.getenv("FLYTE_PUSH_IMAGE_SPEC", "True").lower() in ("true", "1")
        ask.strict = bool(getattr(spec, "_fast_fail", False))
        return ask

    def _look(self, spec: ImageSpec) -> Tuple[Request, Json]:
        ask = self._request(spec)
        return ask, ask.look()

    def _should_build(self, ask: Request) -> bool:
        image = ask.look()
        if ask.force and image["state"] == "ready":
            click.secho(f"Overwriting existing image {ask.name}.", fg="blue")
            self._asked[ask.name] = ask, image
            return True
        if ask.known and image["state"] in ("waiting", "queued", "building", "publishing"):
            image = ask.wait(image)
            if image["state"] != "ready":
                ask.fail(image)
        if image["state"] == "ready" and not ask.unpushed(image):
            click.secho(f"Image {ask.name} found. Skip building.", fg="blue")
            ask.remark(image)
            return False
        if image["state"] == "failed" and definite(image):
            ask.fail(image)
        click.secho(f"Image {ask.name} not found. building...", fg="blue")
        self._asked[ask.name] = ask, image
        return True

    def build_image(self, spec: ImageSpec) -> Optional[str]:
        name = spec.image_name()
        if name in self._left:
            theirs: Optional[str] = self._left.pop(name).build_image(spec)
            return theirs
        try:
            ask, image = self._asked.pop(name) if name in self._asked else self._look(spec)
            image = ask.build(image)
        except FAILURES as e:
            other = self._leave(spec, str(e))
            if not other.should_build(spec):
                return None
            built: Optional[str] = other.build_image(spec)
            return built
        if image["state"] != "ready":
            ask.fail(image)
        if ask.unpushed(image):
            raise click.ClickException(f"{name} is built, and not in its registry: {image['detail']}")
        click.secho(f"Image {name} is ready.", fg="blue")
        ask.remark(image)
        return str(name)

    def _leave(self, spec: ImageSpec, why: str) -> ImageSpecBuilder:
        """flytekit's own builder for a spec that the daemon does not build."""
        name = spec.image_name()
        may_fall_back(name, why)
        other = spec.builder if spec.builder and spec.builder != "imgspecd" else _default_builder("imgspecd")
        try:
            builder = self._own(other)
        except Exception as e:  # flytekit says in many ways that a builder is not installed
            raise click.ClickException(f"imgspecd: {why}\nflytekit's builder {other} cannot stand in: {e}") from None
        click.secho(f"imgspecd: {why}. flytekit's builder {other} is used.", fg="yellow", err=True)
        self._left[name] = builder
        return builder

    def _whole(self, spec: ImageSpec) -> ImageSpec:
        """The spec as its user wrote it: flytekit puts a name in the place of a base's spec, and keeps the id."""
        base = self._specs.get(spec.base_image) if isinstance(spec.base_image, str) else None
        if base is None:
            return spec
        whole = dataclasses.replace(spec, base_image=base)
        return whole if whole.id == spec.id else spec


def _default_builder(but: str = "") -> str:
    """The builder that flytekit takes for a spec which names none."""
    registry = {name: entry for name, entry in ImageBuildEngine._REGISTRY.items() if name != but}
    return str(max(registry, key=lambda name: registry[name][1]))


def describe(whole: ImageSpec, name: str, spec: ImageSpec) -> Json:
    """The body of PUT /v1/specs."""
    body: Json = {
        "spec": _fields(whole),
        "dir": os.getcwd(),
        "flytekit": flytekit.__version__,
        "name": name,
        "tag": spec.tag,
        "id": spec.id,
        "machine": platform.machine(),
        "builder": _default_builder(),
    }
    if getattr(getattr(spec, "source_copy_mode", None), "name", "") == "LOADED_MODULES" and spec.source_root:
        body["modules"] = _modules(str(spec.source_root))
    return body


def _modules(source_root: str) -> List[str]:
    from flytekit.tools.script_mode import list_imported_modules_as_files

    files = list_imported_modules_as_files(source_root, list(sys.modules.values()))
    return sorted({os.path.abspath(f) for f in files})


def _fields(spec: ImageSpec) -> Json:
    values = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    return {name: _value(v) for name, v in values.items() if v is not None}


def _value(v: Any) -> Any:
    """JSON has no tuples, paths and infinities: what it lacks is an object with one marked member."""
    if v is None or isinstance(v, (str, int)):
        return v
    if isinstance(v, float):
        return v if math.isfinite(v) else {"__float__": repr(v)}
    if isinstance(v, ImageSpec):
        return {"__imagespec__": _fields(v)}
    if type(v).__name__ == "CopyFileDetection":
        return {"__copymode__": v.name}
    if isinstance(v, pathlib.PurePath):
        return {"__path__": str(v)}
    if isinstance(v, tuple):
        return {"__tuple__": [_value(x) for x in v]}
    if isinstance(v, list):
        return [_value(x) for x in v]
    if isinstance(v, dict):
        if all(isinstance(k, str) and not k.startswith("__") for k in v):
            return {k: _value(x) for k, x in v.items()}
        return {"__dict__": [[_value(k), _value(x)] for k, x in v.items()]}
    raise CannotBuild(f"a field holds a {type(v).__name__}, which has no form that can be told")
