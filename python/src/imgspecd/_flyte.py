"""How a flyte.Image is told as an image spec. Written against Flyte 2.12.1.

builder="envd" is the kind of spec that fits: packages go among those of the base's own Python, nothing of flytekit's is
added, and user and working directory are the base's. The order is apt, packages, commands; layers in another one do
not fit. The tag is Flyte's, as tag_format.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import platform
import shutil
from typing import Any, Dict, List, Optional

from flyte._image import AptPackages, Commands, Env, Image, PipPackages, Requirements, UVProject

from imgspecd._daemon import Json
from imgspecd._request import CannotBuild

RULES = "1.16.31"  # the release of flytekit whose rules give the spec its id
# The fields of flytekit's ImageSpec that are used here, in its order: the id is a digest of their repr.
ORDER = ("name", "builder", "env", "registry", "packages", "requirements", "apt_packages", "base_image", "platform") + (
    "pip_index",
    "pip_extra_index_url",
    "commands",
    "tag_format",
)


def describe(image: Image) -> Json:
    """The body of PUT /v1/specs."""
    fields = _fields(image)
    hashed = str({k: v for k, v in fields.items() if k != "builder"}).encode()
    return {
        "spec": fields,
        "dir": os.getcwd(),
        "flytekit": RULES,
        "name": image.uri,
        "tag": image._final_tag,
        "id": base64.urlsafe_b64encode(hashlib.md5(hashed, usedforsecurity=False).digest()).decode().rstrip("="),
        "machine": platform.machine(),
    }


def _fields(image: Image) -> Json:
    tag = image._final_tag
    if image.dockerfile or not image.base_image or tag == "latest" or "{" in tag:
        raise CannotBuild(f"{image.uri} is not made of layers on a base image")
    if not image.name or image.name != image.name.lower() or (image.registry or "") != (image.registry or "").lower():
        raise CannotBuild(f"{image.uri}: image names have no capitals")
    if getattr(image, "_image_registry_secret", None):
        raise CannotBuild("registry_secret: the daemon has the logins of Docker's config")
    spec = _Spec(tag)
    for layer in image._layers:
        spec.add(layer)
    values: Dict[str, Any] = {
        "name": image.name,
        "builder": "envd",
        "registry": image.registry or None,
        "base_image": image.base_image,
        "platform": ",".join(image.platform),
        "tag_format": tag,
        **spec.values,
    }
    return {k: values[k] for k in ORDER if values.get(k)}


class _Spec:
    """Collects layers into fields, and refuses those that would come out of their order."""

    STEPS = ("apt_packages", "packages", "commands")

    def __init__(self, tag: str) -> None:
        self.values: Dict[str, Any] = {}
        self._tag = tag
        self._step = 0
        self._options: Optional[Any] = None

    def add(self, layer: Any) -> None:
        kind = type(layer).__name__
        if getattr(layer, "secret_mounts", None):
            raise CannotBuild(f"{kind} with secret_mounts is no layer that imgspecd can make")
        if type(layer) is AptPackages:
            self._append("apt_packages", kind, list(layer.packages))
        elif type(layer) is PipPackages:
            self._pip(layer)
            self._append("packages", kind, list(layer.packages or ()))
        elif type(layer) is Requirements:
            self._pip(layer)
            self._require(kind, layer.file, None)
        elif type(layer) is UVProject:
            self._uv(layer)
        elif type(layer) is Commands:
            self._append("commands", kind, list(layer.commands))
        elif type(layer) is Env:
            self._env(layer)
        else:
            raise CannotBuild(f"{kind} is no layer that imgspecd can make")

    def _append(self, field: str, kind: str, values: List[str]) -> None:
        step = self.STEPS.index(field)
        if step < self._step:
            raise CannotBuild(
                f"{kind} after {self.STEPS[self._step]}: imgspecd does apt, packages, commands in this order"
            )
        self._step = step
        self.values[field] = self.values.get(field, []) + values

    def _env(self, layer: Env) -> None:
        for name, value in layer.env_vars:
            if any(c in value for c in "$\"'\\ \t\n"):
                raise CannotBuild(f"Env {name} holds what Docker would expand")
            self.values.setdefault("env", {})[name] = value

    def _pip(self, layer: Any, extra: str = "") -> None:
        """One resolution answers for all layers, so they must ask alike."""
        options = (layer.index_url, tuple(layer.extra_index_urls or ()), layer.pre, layer.extra_args or "")
        if self._options not in (None, options):
            raise CannotBuild("layers of packages with different indexes or options")
        self._options = options
        if layer.pre:
            raise CannotBuild("pre=True")
        if options[3] != extra:
            raise CannotBuild(f"extra_args={layer.extra_args!r}")
        self.values["pip_index"] = layer.index_url
        self.values["pip_extra_index_url"] = list(layer.extra_index_urls or ())

    def _uv(self, layer: UVProject) -> None:
        if layer.project_install_mode != "dependencies_only" or layer.uvlock is None:
            raise CannotBuild("UVProject without uv.lock, or with the project itself installed")
        said = (layer.extra_args or "").split()
        said = [a for a in said if a not in ("--no-install-project", "--locked", "--frozen")]
        text = layer.pyproject.read_text()
        if "--no-dev" not in said and ("[dependency-groups]" in text or "dev-dependencies" in text):
            raise CannotBuild('UVProject with dependency groups: say extra_args="--no-dev"')
        if [a for a in said if a != "--no-dev"] or layer.index_url or layer.extra_index_urls or layer.pre:
            raise CannotBuild("UVProject with options")
        self._require("UVProject", layer.uvlock, layer.pyproject)

    def _require(self, kind: str, file: pathlib.Path, beside: Optional[pathlib.Path]) -> None:
        if "requirements" in self.values:
            raise CannotBuild("several layers with requirements")
        if beside is None and any(line.lstrip().startswith(("-", ".")) for line in file.read_text().splitlines()):
            raise CannotBuild(f"{file.name} holds options or directories")
        self._append("packages", kind, [])
        if not self.values["packages"]:
            del self.values["packages"]
        self.values["requirements"] = _kept(self._tag, file, "uv.lock" if beside else "requirements.txt")
        if beside is not None:
            _kept(self._tag, beside, "pyproject.toml")


def _kept(tag: str, file: pathlib.Path, name: str) -> str:
    """A copy that stays as it is: an image's tag is that of this content, whatever becomes of the file."""
    above = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    kept = os.path.join(above, "imgspecd", "flyte", tag, name)
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    half = f"{kept}.{os.getpid()}"
    shutil.copyfile(file, half)
    os.replace(half, kept)
    return kept
