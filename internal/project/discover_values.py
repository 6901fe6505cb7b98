"""Values that the reader knows without running a program, and how they are written as JSON."""

import ast
import math
import os
import pathlib

FIELDS = (
    "name python_version builder source_root env registry packages conda_packages conda_channels requirements "
    "apt_packages cuda cudnn base_image platform pip_index pip_extra_index_url pip_secret_mounts pip_extra_args "
    "registry_config entrypoint commands tag_format source_copy_mode copy python_exec runtime_packages "
    "builder_options builder_config"
).split()
UPDATES = {
    "with_packages": "packages",
    "with_commands": "commands",
    "with_apt_packages": "apt_packages",
    "with_copy": "copy",
    "with_runtime_packages": "runtime_packages",
    "with_builder_options": "builder_options",
}
LIBRARIES = ("flytekit", "union", "unionai")
MODES = ("LOADED_MODULES", "ALL", "NO_COPY")
MAX_TEXT = 1 << 20  # no string and no list of a spec is longer; the limit stops x = x + x
MAX_DEPTH = 60  # of values within values


class Unknown:
    """What only running the code would tell, and why. It may be an ImageSpec, or the class itself, if maybe is set."""

    def __init__(self, reason, maybe=False):
        self.reason = reason
        self.maybe = maybe


class Ext:
    """Something of a module that is not the project's, by its dotted name."""

    def __init__(self, name):
        self.name = name


class Mode:
    """A member of CopyFileDetection."""

    def __init__(self, name):
        self.name = name


class Spec:
    """An ImageSpec(...) call, with the with_*() calls on it applied."""

    def __init__(self, line):
        self.line = line
        self.variable = ""
        self.kwargs = {}
        self.bad = None  # (field, reason)
        self.force_push = False
        self.reads = set()

    def derived(self, line):
        other = Spec(line)
        other.kwargs = dict(self.kwargs)
        other.bad = self.bad
        other.reads = set(self.reads)
        return other


class Module:
    """A file of the project (or a class in one), evaluated up to where it is known."""

    def __init__(self, path, package):
        self.path = path
        self.package = package  # directory that its submodules and relative imports are in
        self.names = {}
        self.specs = []
        self.deps = set()  # files that decided the result, there or not
        self.error = None  # (line, reason): it does not parse
        self.starred = False  # names may come from a star import of something unknown


class Binding:
    """A name's value, and the environment variables that decided it."""

    def __init__(self, value, reads=frozenset()):
        self.value = value
        self.reads = frozenset(reads)


class Fail(Exception):
    """The code would raise here, so nothing after it is reached."""


def constant(value):
    """Whether a value is one of Python's own that the reader computes with."""
    return value is None or isinstance(value, (str, int, float, list, tuple, dict, pathlib.PurePath))


def size_of(value):
    return len(value) if isinstance(value, (str, list, tuple, dict)) else 0


def checked(value):
    """Refuses what grows beyond any sensible spec."""
    if size_of(value) > MAX_TEXT:
        return Unknown("the value is too large")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 4096:
        return Unknown("the number is too large")
    return value


def reason_in(value, tainted, depth=0):
    """The reason why a value is not known in all its parts, or None."""
    if isinstance(value, Unknown):
        return value.reason
    if depth > MAX_DEPTH:
        return "values are nested too deeply"
    if id(value) in tainted:
        return tainted[id(value)]
    if isinstance(value, Spec):
        return value.bad and "the spec at line %d: %s" % (value.line, value.bad[1])
    if isinstance(value, Ext):
        return "%s is known only when it runs" % value.name
    if isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, dict):
        parts = list(value) + list(value.values())
    elif constant(value) or isinstance(value, Mode):
        return None
    else:
        return "a %s has no text that is known without running it" % type(value).__name__
    for part in parts:
        why = reason_in(part, tainted, depth + 1)
        if why:
            return why
    return None


def encode(value):
    """The form that imagespec.ParseKwargs reads."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": repr(value)}
    if isinstance(value, pathlib.PurePath):
        return {"__path__": str(value)}
    if isinstance(value, Mode):
        return {"__copymode__": value.name}
    if isinstance(value, Spec):
        return {"__imagespec__": {k: encode(v) for k, v in value.kwargs.items()}}
    if isinstance(value, tuple):
        return {"__tuple__": [encode(v) for v in value]}
    if isinstance(value, list):
        return [encode(v) for v in value]
    if isinstance(value, dict):
        plain = all(isinstance(k, str) for k in value)
        if plain and not (len(value) == 1 and next(iter(value)).startswith("__")):
            return {k: encode(v) for k, v in value.items()}
        return {"__dict__": [[encode(k), encode(v)] for k, v in value.items()]}
    return value


def assigned(nodes):
    """Names that statements may bind, without entering functions and classes."""
    names = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            continue
        elif isinstance(node, ast.Lambda):
            continue
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((a.asname or a.name).split(".")[0] for a in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        else:
            for field in ("name", "rest"):  # of match patterns
                if type(node).__name__.startswith("Match") and isinstance(getattr(node, field, None), str):
                    names.add(getattr(node, field))
        todo.extend(ast.iter_child_nodes(node))
    return names


def read_source(path, limit):
    """A file's bytes; None if it is no regular file or too large."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > limit:
            return None
        with open(path, "rb") as f:
            return f.read(limit + 1)
    except OSError:
        return None
