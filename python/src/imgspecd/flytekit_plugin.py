"""The flytekit plug-in (entry point group ``flytekit.plugins``): a builder that asks imgspecd's daemon.

flytekit imports this module each time it is imported itself, so it is small, asks nobody, and never fails:
what it needs to work is loaded when an image is asked for.
"""

from __future__ import annotations

import os
from typing import Any, FrozenSet, Optional

from flytekit.image_spec.image_spec import ImageBuildEngine, ImageSpec, ImageSpecBuilder

NAME = "imgspecd"


class ImgspecdBuilder(ImageSpecBuilder):
    """Has images built by the daemon, under flytekit's own names."""

    builder_type = NAME

    def __init__(self) -> None:
        self._asker: Any = None
        self._taken: Optional[FrozenSet[str]] = None

    def should_build(self, image_spec: ImageSpec) -> bool:
        return bool(self._ask().should_build(image_spec))

    def build_image(self, image_spec: ImageSpec) -> Optional[str]:
        name: Optional[str] = self._ask().build_image(image_spec)
        return name

    def _ask(self) -> Any:
        if self._asker is None:
            from imgspecd._flytekit import Asker

            self._asker = Asker(_flytekits_own)
        return self._asker

    def takes_over(self, name: Optional[str]) -> bool:
        """Whether specs that name this builder are served too: $IMGSPECD_TAKE_OVER says it, or else the daemon."""
        if name is None or name == NAME:
            return False
        if self._taken is None:
            told = os.environ.get("IMGSPECD_TAKE_OVER")
            names = told.split(",") if told is not None else _told_by_daemon()
            self._taken = frozenset(n.strip() for n in names) - {""}
        return name in self._taken


def _told_by_daemon() -> Any:
    from imgspecd._daemon import Daemon, Refused, Unreachable, socket_path

    try:
        return Daemon(socket_path()).info().get("take_over") or []
    except (Unreachable, Refused):
        return []  # a daemon that does not run takes over nothing


_original = getattr(ImageBuildEngine, "_get_builder", None)


def _flytekits_own(name: str) -> ImageSpecBuilder:
    if _original is None:
        return ImageBuildEngine._REGISTRY[name][0]
    builder: ImageSpecBuilder = _original(name)
    return builder


def _register() -> None:
    import flytekit

    builder = ImgspecdBuilder()
    # Above flytekit's own and envd, so that it serves specs that name no builder; below union's (10).
    # These two releases write that choice into the id, which a pod without this plug-in computes otherwise.
    priority = 0 if getattr(flytekit, "__version__", "") in ("1.15.1", "1.15.2") else 7
    ImageBuildEngine.register(NAME, builder, priority=priority)
    if _original is None:
        return

    # Not by replacing entries of the registry: flytekit asks for the envd package before it looks there.
    def _get_builder(cls: Any, name: str) -> ImageSpecBuilder:
        return builder if builder.takes_over(name) else _flytekits_own(name)

    setattr(ImageBuildEngine, "_get_builder", classmethod(_get_builder))


_register()
