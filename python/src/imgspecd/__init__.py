"""Lets flytekit and Flyte ask imgspecd for images: the plug-ins, and where the binary is.

Importing this package does nothing. flytekit and Flyte find their plug-ins by entry point.
"""

from __future__ import annotations

import os
from typing import Iterator, Optional

__all__ = ["__version__", "find_binary"]

__version__ = "0.1.0.dev0"


def find_binary() -> Optional[str]:
    """The imgspecd command: $IMGSPECD_BIN, the one that came with this package, or one on PATH."""
    told = os.environ.get("IMGSPECD_BIN")
    if told:
        return told
    import shutil

    for directory in _script_directories():
        path = os.path.join(directory, "imgspecd")
        if os.access(path, os.X_OK):
            return path
    return shutil.which("imgspecd")


def _script_directories() -> Iterator[str]:
    """Where installers put scripts: that of this environment, of --user, and of --target beside the package."""
    import sysconfig

    yield sysconfig.get_path("scripts")
    yield sysconfig.get_path("scripts", f"{os.name}_user")
    yield os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin")
