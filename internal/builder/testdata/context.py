# Fills build contexts with flytekit's own default builder. Each line: directory of the project, arguments of
# ImageSpec, where the context goes. Answers with the COPY lines of the Dockerfile, or with the exception.
import json, os, sys, warnings
from pathlib import Path

from flytekit import ImageSpec
from flytekit.constants import CopyFileDetection
from flytekit.image_spec.default_builder import create_docker_context

warnings.simplefilter("ignore")
for line in sys.stdin:
    q = json.loads(line)
    os.chdir(q["dir"])
    fields = q["fields"]
    if mode := fields.pop("source_copy_mode", None):
        fields["source_copy_mode"] = CopyFileDetection[mode["__copymode__"]]
    try:
        out = Path(q["out"])
        create_docker_context(ImageSpec(**fields), out)
        lines = [l for l in (out / "Dockerfile").read_text().splitlines() if l.startswith("COPY")]
        print(json.dumps({"copies": lines}), flush=True)
    except Exception as e:
        print(json.dumps({"error": f"{type(e).__name__}: {e}"}), flush=True)
