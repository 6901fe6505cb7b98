"""The Flyte 2 plug-in (entry point group ``flyte.plugins.image_builders``): ``image.builder: imgspecd`` in its config.

An image keeps the name and tag that Flyte computes; its layers are told to the daemon as an image spec with that tag.
What a spec cannot say is refused with the layer's name, or left to Flyte's own builder ($IMGSPECD_FALLBACK).
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, ClassVar, List, Optional, Tuple

from flyte._image import Architecture, Image

from imgspecd._daemon import Daemon, Unreachable
from imgspecd._request import FAILURES, Request, definite, fallback, may_fall_back


class ImgspecdImageChecker:
    """Asks the daemon whether an image is ready."""

    @classmethod
    async def image_exists(
        cls, repository: str, tag: str, arch: Tuple[Architecture, ...] = ("linux/amd64",)
    ) -> Optional[str]:
        """The name, if it is ready; None, if it is to be built. Without a daemon it raises: the next is asked."""
        return await asyncio.to_thread(_ready, _with_registry(repository), tag, arch)


def _ready(repository: str, tag: str, arch: Tuple[str, ...]) -> Optional[str]:
    name = f"{repository}:{tag}"
    try:
        image = Daemon.find().find_image(name, os.getcwd())
    except Unreachable:
        if fallback() == "builder":
            raise
        return None  # Flyte takes what no checker knows for there; so the builder is asked, which says what is wrong
    if image is None or image["state"] != "ready" or not set(arch) <= set(image["platform"].split(",")):
        return None
    return name if all(t["state"] == "ready" for t in image["targets"] if t["name"] == "registry") else None


def _with_registry(repository: str) -> str:
    registry = None if "/" in repository else _push_registry()
    return f"{registry}/{repository}" if registry else repository


def _push_registry() -> Optional[str]:
    """Where Flyte's own local builder pushes an image that names no registry."""
    try:
        from flyte._image import _get_push_registry
    except ImportError:  # before Flyte had such a rule
        return None
    return _get_push_registry()


class ImgspecdImageBuilder:
    """Has images built by the daemon, under Flyte's own names."""

    builder_type: ClassVar[str] = "imgspecd"

    def get_checkers(self) -> List[Any]:
        from flyte._internal.imagebuild.docker_builder import DockerImageBuilder

        return [ImgspecdImageChecker, *(DockerImageBuilder().get_checkers() or [])]

    async def build_image(self, image: Image, dry_run: bool = False, wait: bool = True, force: bool = False) -> Any:
        from flyte._build import ImageBuild

        if image._is_cloned and not image.registry:
            registry = _push_registry()
            image = image.clone(registry=registry) if registry else image
        try:
            uri = await asyncio.to_thread(_build, image, dry_run, wait, force)
        except FAILURES as e:
            may_fall_back(image.uri, str(e))
            return await self._leave(str(e), image, dry_run, wait, force)
        return ImageBuild(uri=uri, remote_run=None)

    async def _leave(self, why: str, image: Image, dry_run: bool, wait: bool, force: bool) -> Any:
        import click
        from flyte._internal.imagebuild.docker_builder import DockerImageBuilder

        click.secho(f"imgspecd: {why}. Flyte's builder local is used.", fg="yellow", err=True)
        return await DockerImageBuilder().build_image(image, dry_run=dry_run, wait=wait, force=force)


def _build(image: Image, dry_run: bool, wait: bool, force: bool) -> str:
    from imgspecd._flyte import describe

    uri = str(image.uri)
    body = describe(image)
    if dry_run:
        return uri
    ask = Request(Daemon.find(), uri, lambda: body)
    ask.force, ask.push = force, bool(image.registry)
    known = ask.look()
    if known["state"] == "failed" and definite(known):
        ask.fail(known)
    if not wait:
        ask.start(known)
        return uri
    built = ask.build(known)
    if built["state"] != "ready" or ask.unpushed(built):
        ask.fail(built)
    ask.remark(built)
    return uri
