"""What is seen while an image is waited for: one line that changes on a terminal, else a line for each state."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, Dict, Optional, TextIO


class Progress:
    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.began = time.monotonic()
        self.last = ""

    def show(self, image: Dict[str, Any]) -> None:
        state, doing = image["state"], _doing(image)
        text = f"imgspecd: {image['label']}: {state}"
        if not self.live:
            if text != self.last:
                self._write(f"{text} ({image['detail']})\n" if image.get("detail") else text + "\n")
            self.last = text
            return
        line = f"{text}{': ' + doing if doing else ''} ({self.seconds()})"
        self._write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])

    def end(self) -> None:
        if self.live:
            self._write("\r\x1b[K")

    def seconds(self) -> str:
        return f"{time.monotonic() - self.began:.1f} s"

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # nobody looks any more
            self.live = False


def _doing(image: Dict[str, Any]) -> str:
    steps = []
    for p in image.get("progress") or []:
        step = f"{p['step']} {p['target']}" if p.get("target") else str(p["step"])
        if p.get("bytes_total"):
            step += f" {p['bytes'] / 1e6:.1f}/{p['bytes_total'] / 1e6:.1f} MB"
        elif p.get("items_total"):
            step += f" {p['items']}/{p['items_total']}"
        steps.append(step)
    return ", ".join(steps) or str(image.get("detail") or "")
