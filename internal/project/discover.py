"""Runs through a module's statements in order, follows imports within the project, and prints what it found.

The request comes as JSON on stdin, the answer goes as JSON to stdout. No file of the project is ever imported.
"""

import contextlib
import hashlib
import json
import sys
import warnings


class Session:
    """One run: the modules read so far, and what the result depends on."""

    def __init__(self, request):
        self.root = request["root"]
        self.cwd = request["cwd"]
        self.environment = request["env"]
        self.version = tuple(request["python"] or ())
        self.site = request["site"]
        self.limit = request["limit"]
        self.modules = {}
        self.hashes = {}
        self.env_reads = {}
        self.tainted = {}
        self.kept = []  # tainted objects, so that their ids stay theirs

    def source(self, path, deps):
        deps.add(path)
        data = read_source(path, self.limit)
        self.hashes[path] = hashlib.sha256(data).hexdigest() if data is not None else ""
        return data

    def load(self, path):
        """The module in a file, evaluated once."""
        if path not in self.modules:
            module = self.modules[path] = Module(path, os.path.dirname(path))
            data = self.source(path, module.deps)
            Statements(self, module).run(data)
        return self.modules[path]

    def find(self, bases, parts, deps):
        """The file or folder of a dotted name, or None."""
        for base in bases:
            at = os.path.join(base, *parts)
            for path in (os.path.join(at, "__init__.py"), at + ".py"):
                if os.path.isfile(path):
                    return self.load(path)
                deps.add(path)
                self.hashes.setdefault(path, "")
            if os.path.isdir(at):
                return Module(at, at)
        return None


class Statements(Imports):
    """Evaluation of one module."""

    def __init__(self, session, module):
        self.session, self.module = session, module
        self.tainted, self.cwd = session.tainted, session.cwd
        self.scopes = [module.names]
        self.traces = []  # sets of environment variables read, innermost last
        self.control = []  # those that decided which branch is taken
        self.unsure = []  # reasons why the statement may not run; None where specs are candidates all the same
        self.deferred = []
        self.poison = {}
        self.rebound = set()  # names of the module that were bound more than once
        self.calling = False  # in a body that runs at a time that is not known
        self.classes = []  # scopes of classes: the functions in them do not see these

    # What expressions ask for.

    def lookup(self, name):
        for i in range(len(self.scopes) - 1, -1, -1):
            binding = self.scopes[i].get(name)
            if binding is None:
                continue
            if i == 0 and name in self.poison:
                return Binding(Unknown(self.poison[name]))
            if i == 0 and self.calling and name in self.rebound:
                return Binding(Unknown("%s changes, and when the function runs is not known" % name))
            if isinstance(binding.value, Lazy):
                value = binding.value.follow()
                binding = self.scopes[i][name] = value if isinstance(value, Binding) else Binding(value)
            return binding
        if self.module.starred:
            return Binding(Unknown("the name %s may come from a star import" % name, maybe=True))
        return None

    def note(self, reads):
        for t in self.traces[-1:]:
            t.update(reads)

    @contextlib.contextmanager
    def reading(self):
        reads = set()
        self.traces.append(reads)
        try:
            yield reads
        except Fail:
            for outer in self.traces[-2:-1]:  # what failed decides what runs instead
                outer.update(reads)
            raise
        finally:
            self.traces.pop()

    @contextlib.contextmanager
    def nested(self):
        self.scopes.append({})
        try:
            yield
        finally:
            self.scopes.pop()

    def control_reads(self):
        return set().union(*self.control)

    def traced(self, node):
        with self.reading() as reads:
            value = self.eval(node)
        self.note(reads)
        return value, reads | self.control_reads()

    def env(self, key, default):
        value = self.session.environment.get(key)
        self.session.env_reads[key] = value
        self.note((key,))
        return default if value is None else value

    def python(self):
        if not self.session.version:
            return Unknown("the project's Python version is not known")
        return self.session.version

    def installed(self, name):
        """The version that a distribution has in the project's environment."""
        import re

        want = re.sub(r"[-_.]+", "-", name).lower()
        for site in self.session.site:
            for entry in sorted(os.listdir(site)):
                found, dash, version = entry[: -len(".dist-info")].partition("-")
                if entry.endswith(".dist-info") and dash and re.sub(r"[-_.]+", "-", found).lower() == want:
                    self.session.source(os.path.join(site, entry, "METADATA"), self.module.deps)
                    return version
        return Unknown("%s is not installed in the project's environment" % name)

    def taint(self, value, reason):
        if id(value) not in self.tainted:
            self.tainted[id(value)] = reason
            self.session.kept.append(value)

    def member(self, owner, name):
        binding = owner.names.get(name)
        if binding is not None:
            other = Statements(self.session, owner)
            other.poison = getattr(owner, "poison", {})
            binding = other.lookup(name)
            self.note(binding.reads)
            return binding.value
        if owner.package:
            found = self.session.find([owner.package], [name], self.module.deps)
            if found is not None:
                self.module.deps |= found.deps
                return found
        return Unknown("%s has no %s that is known" % (os.path.basename(owner.path), name), maybe=owner.starred)

    # Statements.

    def run(self, data):
        if data is None:
            self.module.error = (0, "the file cannot be read or is larger than %d bytes" % self.session.limit)
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(data, self.module.path)
        except SyntaxError as e:
            self.module.error = (e.lineno or 0, "it does not parse: %s" % e.msg)
            return
        except (ValueError, RecursionError, MemoryError) as e:
            self.module.error = (0, "it does not parse: %s" % e)
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                for name in node.names:
                    self.poison[name] = "a function may change %s (global at line %d)" % (name, node.lineno)
        self.module.poison = self.poison
        self.module.names["__file__"] = Binding(self.module.path)
        self.module.names["__name__"] = Binding(Unknown("__name__ is known only when it runs"))
        try:
            self.block(tree.body)
            while self.deferred:
                self.function(*self.deferred.pop(0))
        except RecursionError:
            self.module.error = (0, "it is nested too deeply")

    def block(self, statements):
        for node in statements:
            try:
                self.statement(node)
            except Fail as e:
                if self.catching():
                    raise
                why = "line %d: %s" % (node.lineno, e)
                for name in assigned([node]):
                    self.scopes[-1][name] = Binding(Unknown(why))
                self.unsure.append(why)

    def catching(self):
        return bool(self.unsure) and self.unsure[-1] == ""

    def statement(self, node):
        method = getattr(self, "do_" + type(node).__name__, None)
        if method:
            method(node)
            return
        for child in ast.iter_child_nodes(node):  # return, assert, raise, ...
            if isinstance(child, ast.expr):
                self.eval(child)

    def do_Expr(self, node):
        self.eval(node.value)

    def do_Assign(self, node):
        value, reads = self.traced(node.value)
        for target in node.targets:
            self.bind(target, value, reads)

    def do_AnnAssign(self, node):
        if node.value is not None:
            value, reads = self.traced(node.value)
            self.bind(node.target, value, reads)

    def bind(self, target, value, reads):
        if isinstance(target, ast.Name):
            if isinstance(value, Spec) and not value.variable and value in self.module.specs:
                value.variable = target.id
            if len(self.scopes) == 1 and target.id in self.module.names:
                self.rebound.add(target.id)
            self.scopes[-1][target.id] = Binding(value, reads)
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = value if isinstance(value, (list, tuple)) and len(value) == len(target.elts) else None
            if any(isinstance(t, ast.Starred) for t in target.elts):
                parts = None
            for i, t in enumerate(target.elts):
                self.bind(t, parts[i] if parts is not None else Unknown("line %d unpacks a value" % target.lineno), reads)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, Unknown("line %d unpacks a value" % target.lineno), reads)
        elif isinstance(target, ast.Subscript):
            self.store(target, value)
        elif isinstance(target, ast.Attribute):
            owner = self.eval(target.value)
            if isinstance(owner, Module):
                why = "line %d of %s changes it" % (target.lineno, os.path.basename(self.module.path))
                owner.names[target.attr] = Binding(Unknown(why))
            if isinstance(owner, Spec) and not owner.bad:
                owner.bad = (target.attr, "line %d changes the spec after it was made" % target.lineno)

    def store(self, target, value):
        owner = self.eval(target.value)
        if isinstance(owner, (dict, list)):
            self.taint(owner, "line %d changes the value" % target.lineno)
        elif isinstance(owner, Ext) and owner.name == "os.environ":
            key = self.eval(getattr(target.slice, "value", target.slice) if sys.version_info < (3, 9) else target.slice)
            if isinstance(key, str) and isinstance(value, str) and not self.unsure:
                self.session.environment[key] = value

    def do_AugAssign(self, node):
        value, reads = self.traced(node.value)
        if not isinstance(node.target, ast.Name):
            self.bind(node.target, Unknown("line %d changes the value" % node.lineno), reads)
            return
        self.rebound.add(node.target.id)
        old = self.lookup(node.target.id)
        now = old.value if old else Unknown("the name %s is not known" % node.target.id)
        if isinstance(now, (list, dict)):
            result = self.operate(node.op, now, value)
            self.taint(now, "line %d changes the value in place" % node.lineno)
        else:
            result = self.operate(node.op, now, value)
        self.scopes[-1][node.target.id] = Binding(result, (old.reads if old else frozenset()) | reads)

    def do_Delete(self, node):
        for t in node.targets:
            if isinstance(t, ast.Name):
                self.scopes[-1][t.id] = Binding(Unknown("line %d deletes the name" % node.lineno))
            elif isinstance(t, ast.Subscript):
                self.store(t, None)

    def do_If(self, node):
        if is_main(node.test):
            self.branches(node, [node.body, node.orelse], keep=True)
            return
        with self.reading() as reads:
            truth = self.truth(self.eval(node.test))
        if isinstance(truth, Unknown):
            self.branches(node, [node.body, node.orelse])
            return
        self.control.append(reads)
        try:
            self.block(node.body if truth else node.orelse)
        finally:
            self.control.pop()
        self.decided(node.body + node.orelse, reads)

    def decided(self, statements, reads):
        """Says that environment variables decided what the names that statements bind hold."""
        for name in assigned(statements):
            old = self.scopes[-1].get(name)
            if reads and old and not isinstance(old.value, Lazy):
                self.scopes[-1][name] = Binding(old.value, old.reads | reads)

    def branches(self, node, bodies, keep=False):
        """Runs every body as if alone. What they bind is not known afterwards, unless keep is set."""
        why = "it depends on what is decided at line %d" % node.lineno
        maybe = set()
        scope = self.scopes[-1]
        for body in bodies:
            before, depth = dict(scope), len(self.unsure)
            self.unsure.append(None)
            try:
                self.block(body)
            finally:
                del self.unsure[depth:]
            maybe |= {n for n in assigned(body) if n in scope and may_be_spec(scope[n].value)}
            scope.clear()
            scope.update(before)
        if not keep:
            for name in {n for body in bodies for n in assigned(body)}:
                scope[name] = Binding(Unknown(why, maybe=name in maybe))

    def loop(self, node):
        self.visit(node)
        names = assigned([node])
        before = dict(self.scopes[-1])
        for name in names:
            self.scopes[-1][name] = Binding(Unknown("it changes in the loop at line %d" % node.lineno))
        self.branches(node, [node.body, node.orelse])
        for name in set(self.scopes[-1]) - names:
            self.scopes[-1][name] = before.get(name, self.scopes[-1][name])

    do_For = do_AsyncFor = do_While = loop

    def do_With(self, node):
        for item in node.items:
            self.eval(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, Unknown("it is known only when line %d runs" % node.lineno), ())
        self.block(node.body)

    do_AsyncWith = do_With

    def do_Match(self, node):
        self.eval(node.subject)
        self.branches(node, [c.body for c in node.cases])

    def do_Try(self, node):
        scope = self.scopes[-1]
        before = dict(scope)
        depth = len(self.unsure)
        failed = None
        if node.handlers:
            self.unsure.append("")
        try:
            with self.reading() as reads:
                self.block(node.body)
        except Fail as e:
            failed = e
            if not node.handlers:
                raise
        finally:
            if node.handlers:
                del self.unsure[depth:]
        handler = node.handlers[0] if node.handlers else None
        if failed and handler and len(node.handlers) == 1 and catches_key_error(handler):
            self.block(handler.body)
        elif failed or not all(self.exact(s) for s in node.body):
            after = dict(scope)
            self.branches(node, [h.body for h in node.handlers])
            for name, binding in after.items():
                if is_library(binding.value) or name not in assigned(h for h in node.handlers):
                    scope[name] = binding
            for name in assigned(node.body) & set(before):
                if node.handlers and not is_library(scope[name].value):
                    scope[name] = Binding(Unknown("line %d may fail before it is set" % node.lineno))
        self.decided(node.body + [s for h in node.handlers for s in h.body], reads if failed else ())
        if not failed:
            self.block(node.orelse)
        self.block(node.finalbody)

    do_TryStar = do_Try

    def exact(self, statement):
        """Whether a statement that ran here surely runs the same in Python: it only binds names to known values."""
        if not isinstance(statement, ast.Assign) or not all(isinstance(t, ast.Name) for t in statement.targets):
            return False
        return all(not reason_in(self.scopes[-1][t.id].value, self.tainted) for t in statement.targets)

    def do_FunctionDef(self, node):
        for d in node.decorator_list + node.args.defaults + [d for d in node.args.kw_defaults if d]:
            self.eval(d)
        self.scopes[-1][node.name] = Binding(Ext("function " + node.name))
        self.later(node, [node.args], node.body)

    do_AsyncFunctionDef = do_FunctionDef

    def later(self, node, arguments, body):
        scopes = [s for s in self.scopes if not any(s is c for c in self.classes)]
        self.deferred.append((node, arguments, body, scopes))

    def function(self, node, arguments, body, scopes):
        """Looks into a body that runs later, if at all: names of the module have their last value there."""
        args = arguments[0]
        names = [a.arg for a in args.args + args.kwonlyargs + getattr(args, "posonlyargs", [])]
        names += [a.arg for a in (args.vararg, args.kwarg) if a]
        why = "it is known only when the function at line %d is called" % node.lineno
        self.scopes = scopes + [{n: Binding(Unknown(why)) for n in names}]
        self.unsure, self.control, self.calling = [None], [], True
        if isinstance(body[0], ast.expr):
            self.eval(body[0])
        else:
            self.block(body)

    def do_ClassDef(self, node):
        for n in node.decorator_list + node.bases + [k.value for k in node.keywords]:
            self.eval(n)
        with self.nested():
            names = self.scopes[-1]
            self.classes.append(names)
            self.block(node.body)
        plain = not (node.decorator_list or node.bases or node.keywords)
        value = Ext("class " + node.name)
        if plain:
            value = Module("class " + node.name, "")
            value.names = names
        self.scopes[-1][node.name] = Binding(value)


def is_main(test):
    """Whether a test is __name__ == "__main__"."""
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def is_library(value):
    return isinstance(value, Ext) and value.name.split(".")[0] in LIBRARIES


def may_be_spec(value):
    return isinstance(value, Spec) or is_library(value) or isinstance(value, Unknown) and value.maybe


def catches_key_error(handler):
    return handler.type is None or getattr(handler.type, "id", "") in ("KeyError", "LookupError", "Exception")


def report(session, path):
    """What one file holds, as the answer lists it."""
    module = session.load(path)
    if module.error:
        return {"file": path, "error": {"line": module.error[0], "reason": module.error[1]}, "deps": hashes(session, module)}
    specs, unreadable = [], []
    for spec in module.specs:
        bad = spec.bad
        for field in FIELDS:
            why = None if bad else field in spec.kwargs and reason_in(spec.kwargs[field], session.tainted)
            if why:
                bad = (field, why)
        if bad:
            unreadable.append({"line": spec.line, "field": bad[0], "reason": bad[1], "variables": sorted(spec.reads)})
            continue
        specs.append({
            "line": spec.line, "variable": spec.variable, "force_push": spec.force_push,
            "variables": sorted(spec.reads), "kwargs": {k: encode(v) for k, v in spec.kwargs.items()},
        })
    return {"file": path, "specs": specs, "unreadable": unreadable, "deps": hashes(session, module)}


def hashes(session, module):
    return {p: session.hashes.get(p, "") for p in sorted(module.deps)}


def main():
    sys.setrecursionlimit(3000)
    request = json.load(sys.stdin)
    given = dict(request["env"])
    files = []
    for path in request["files"]:
        session = Session(dict(request, env=dict(given)))
        entry = report(session, path)
        entry["env"] = session.env_reads
        files.append(entry)
    json.dump({"files": files}, sys.stdout)


main()
