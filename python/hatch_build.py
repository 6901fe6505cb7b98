"""With IMGSPECD_WHEEL_BINARY and IMGSPECD_WHEEL_PLATFORM set, the wheel carries the binary, for those platform tags."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        binary = os.environ.get("IMGSPECD_WHEEL_BINARY")
        if not binary:
            return
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + os.environ["IMGSPECD_WHEEL_PLATFORM"]
        build_data["shared_scripts"][os.path.abspath(binary)] = "imgspecd"
