"""Compiles what comes by standard input: [length][path][length][source], in network order.

Answers [length][marshalled code], or the length 0 for what does not compile. Runs nothing of it.
"""

import marshal
import sys

sys.path[:] = [p for p in sys.path if p]


def main(read, write, flush):
    write(b"\n")  # ready
    flush()
    while head := read(4):
        path = read(int.from_bytes(head, "big")).decode("utf-8", "surrogateescape")
        source = read(int.from_bytes(read(4), "big"))
        try:
            code = marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))
        except Exception:
            code = b""
        source = None
        write(len(code).to_bytes(4, "big"))
        write(code)
        flush()


main(sys.stdin.buffer.read, sys.stdout.buffer.write, sys.stdout.buffer.flush)
