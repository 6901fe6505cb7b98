"""Writes the build context of flytekit's own default builder for the ImageSpec of workflow.py.

usage: peer.py OUT UV_IMAGE MICROMAMBA_IMAGE   (in the project's directory)

Everything is flytekit's, but for two things: the images that it takes uv and micromamba from are stand-ins in the
local registry, and the `#syntax` line is dropped, which would have BuildKit pull its frontend from Docker Hub; the one
that is built in does the same.
"""

import pathlib
import sys
import warnings

warnings.simplefilter("ignore")
sys.path.insert(0, ".")
sys.dont_write_bytecode = True

from flytekit.image_spec.default_builder import create_docker_context  # noqa: E402

import workflow  # noqa: E402

out = pathlib.Path(sys.argv[1])
spec = workflow.image
spec.builder_config = {"uv_image": sys.argv[2], "micromamba_image": sys.argv[3]}
create_docker_context(spec, out)
dockerfile = out / "Dockerfile"
lines = dockerfile.read_text().splitlines(keepends=True)
assert lines[0].startswith("#syntax="), lines[0]
dockerfile.write_text("".join(lines[1:]))
