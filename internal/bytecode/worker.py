"""Compiles sources: [length][path][length][source] comes in, in network order, [length][marshalled code] goes out.

The length 0 answers what does not compile. Nothing of a source is run. Without arguments it answers each as it comes by
standard input. With four it answers all that is in a file: SOURCES ANSWERS BYTES SECONDS, where one that takes more
memory or time, or kills the interpreter, is answered by 0 too and does not keep it from the rest.
"""

import gc
import marshal
import sys

sys.path[:] = [p for p in sys.path if p]
gc.disable()  # what compile() makes is in no cycles


def one(path, source):
    try:
        return marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))
    except Exception:
        return b""


def length(read):
    head = read(4)
    return int.from_bytes(head, "big") if len(head) == 4 else None


def answer(read, write, flush, before=lambda: None):
    while (n := length(read)) is not None:
        path = read(n).decode("utf-8", "surrogateescape")
        source = read(length(read))
        before()
        code = one(path, source)
        source = None
        write(len(code).to_bytes(4, "big") + code)
        flush()


def child(sources, at, answers, end, memory, seconds):
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with open(sources, "rb") as r, open(answers, "r+b") as w:
        r.seek(at)
        w.seek(end)
        w.truncate()
        answer(r.read, w.write, w.flush, lambda: signal.alarm(seconds))


def batch(sources, answers, memory, seconds):
    import os

    open(answers, "wb").close()
    at = end = 0  # of what is done, in each file
    while True:
        pid = os.fork()
        if pid == 0:
            try:
                child(sources, at, answers, end, memory, seconds)
            except BaseException:
                os._exit(1)
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            return
        size = os.path.getsize(answers)
        with open(sources, "rb") as r, open(answers, "r+b") as w:
            while True:  # over what was answered, and one more
                r.seek(at)
                if (n := length(r.read)) is None:
                    return
                r.seek(n, 1)
                at = r.seek(length(r.read), 1)
                w.seek(end)
                n = length(w.read)
                if n is None or end + 4 + n > size:
                    w.seek(end)
                    w.truncate()
                    end += w.write(bytes(4))
                    break
                end += 4 + n


if len(sys.argv) == 5:
    batch(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    sys.stdout.buffer.write(b"\n")  # ready
    sys.stdout.buffer.flush()
    answer(sys.stdin.buffer.read, sys.stdout.buffer.write, sys.stdout.buffer.flush)
