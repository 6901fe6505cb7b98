"""Evaluates calls: of ImageSpec, of its with_*() methods, and of what the standard library computes from constants."""


class Calls(Expressions):
    def eval_Call(self, node):
        func = node.func
        if isinstance(func, ast.Attribute):
            owner = self.eval(func.value)
            if isinstance(owner, Unknown) and owner.maybe and func.attr in UPDATES:
                return self.unreadable(node, owner.reason)
            if isinstance(owner, Spec):
                return self.spec_method(node, owner, func)
            if constant(owner):
                return self.method(node, owner, func.attr)
            target = self.eval_member(owner, func.attr)
        else:
            target = self.eval(func)
        if isinstance(target, Ext):
            top, _, last = target.name.partition(".")
            if top in LIBRARIES and (last == "ImageSpec" or last.endswith(".ImageSpec")):
                return self.construct(node)
            if top in LIBRARIES and last.endswith("ImageSpec.from_env"):
                return self.from_env(node)
        if isinstance(target, Unknown) and target.maybe and name_of(func) == "ImageSpec":
            return self.unreadable(node, target.reason)
        with self.reading() as reads:
            args, kwargs, bad = self.arguments(node)
        self.note(reads)
        if isinstance(target, Ext) and not bad:
            return self.library(target.name, args, kwargs, node)
        if isinstance(target, Unknown):
            return target
        return Unknown(bad or "the result of the call at line %d is known only when it runs" % node.lineno)

    def unreadable(self, node, reason):
        before = len(self.module.specs)
        self.arguments(node)
        spec = Spec(node.lineno)
        spec.bad = ("", reason)
        return self.record(spec, (), before)

    def eval_member(self, owner, name):
        if isinstance(owner, Ext):
            return self.external(owner.name + "." + name)
        if isinstance(owner, Module):
            return self.member(owner, name)
        return owner if isinstance(owner, Unknown) else Unknown("the method %s is not evaluated" % name)

    def arguments(self, node):
        """Positional and keyword arguments, and why they are not known as a whole."""
        args, kwargs, bad = [], {}, None
        for a in node.args:
            if isinstance(a, ast.Starred):
                part = self.argument(a.value)
                if isinstance(part, (list, tuple)) and id(part) not in self.tainted:
                    args.extend(part)
                else:
                    bad = reason_in(part, self.tainted) or "what * unpacks is known only when it runs"
            else:
                args.append(self.argument(a))
        for k in node.keywords:
            value = self.argument(k.value)
            if k.arg is not None:
                kwargs[k.arg] = value
            elif isinstance(value, dict) and id(value) not in self.tainted and all(isinstance(n, str) for n in value):
                kwargs.update(value)
            else:
                bad = reason_in(value, self.tainted) or "what ** unpacks is known only when it runs"
        return args, kwargs, bad

    def argument(self, node):
        try:
            return self.eval(node)
        except Fail as e:
            return Unknown(str(e))

    def construct(self, node):
        """ImageSpec(...): positional arguments go by the order of the fields."""
        spec = Spec(node.lineno)
        before = len(self.module.specs)
        with self.reading() as reads:
            args, kwargs, bad = self.arguments(node)
        if bad:
            spec.bad = ("", bad)
        elif len(args) > len(FIELDS):
            spec.bad = ("", "too many positional arguments")
        for name, value in zip(FIELDS, args):
            if name in kwargs:
                spec.bad = (name, "flytekit refuses it: got multiple values for argument '%s'" % name)
            spec.kwargs[name] = value
        spec.kwargs.update(kwargs)
        return self.record(spec, reads, before)

    def record(self, spec, reads, before):
        spec.reads |= set(reads) | self.control_reads()
        for inner in self.module.specs[before:]:  # written inside this one, so that it has no life of its own
            if any(inner is v for v in spec.kwargs.values()):
                self.module.specs.remove(inner)
        for v in spec.kwargs.values():
            if isinstance(v, Spec):
                spec.reads |= v.reads
        for name in spec.kwargs:
            if name not in FIELDS and not spec.bad:
                spec.bad = (name, "flytekit's ImageSpec has no argument %s" % name)
        if self.unsure and not spec.bad:
            why = self.unsure[-1]
            if why:
                spec.bad = ("", why)
        self.module.specs.append(spec)
        return spec

    def from_env(self, node):
        """ImageSpec.from_env: the project's Python and the versions installed in its environment."""
        spec = Spec(node.lineno)
        before = len(self.module.specs)
        with self.reading() as reads:
            args, kwargs, bad = self.arguments(node)
        pinned = kwargs.pop("pinned_packages", None) or []
        packages = kwargs.pop("packages", [])
        version = self.python()
        if bad or args:
            spec.bad = ("", bad or "flytekit refuses it: from_env takes keyword arguments only")
        elif isinstance(version, Unknown):
            spec.bad = ("python_version", version.reason)
        elif kwargs.get("python_version") is not None:
            spec.bad = ("python_version", "flytekit refuses it: python_version can not be used with `from_env`")
        else:
            out = list(packages) if isinstance(packages, list) else [packages]
            for name in pinned if isinstance(pinned, list) else [pinned]:
                found = self.installed(name) if isinstance(name, str) else Unknown("pinned_packages is not a known list")
                if isinstance(found, Unknown):
                    spec.bad = ("pinned_packages", found.reason)
                else:
                    out.append("%s==%s" % (name, found))
            spec.kwargs["packages"] = out
            spec.kwargs["python_version"] = "%d.%d" % version
        spec.kwargs.update(kwargs)
        return self.record(spec, reads, before)

    def spec_method(self, node, owner, func):
        before = len(self.module.specs)
        with self.reading() as reads:
            args, kwargs, bad = self.arguments(node)
        if func.attr != "force_push" and func.attr not in UPDATES:
            self.note(owner.reads)
            return Unknown("%s() of a spec is known only when it runs" % func.attr)
        spec = owner.derived(func.end_lineno if isinstance(func.value, ast.Call) else node.lineno)
        if isinstance(func.value, ast.Call):
            spec.line = owner.line
            self.module.specs = [s for s in self.module.specs if s is not owner]
        if func.attr == "force_push":
            spec.force_push = True
        elif not spec.bad:
            self.update(spec, UPDATES[func.attr], args + list(kwargs.values()), bad)
        return self.record(spec, reads, before)

    def update(self, spec, field, args, bad):
        now = spec.kwargs.get(field)
        why = bad or reason_in(now, self.tainted) or reason_in(args, self.tainted)
        if not why and len(args) != 1:
            why = "flytekit refuses it: the call takes one argument"
        if why:
            spec.bad = (field, why)
            return
        value = args[0]
        now = ({} if isinstance(value, dict) else []) if now is None else now
        if isinstance(value, dict) and isinstance(now, dict):
            spec.kwargs[field] = {**now, **value}
        elif isinstance(value, str) and isinstance(now, list):
            spec.kwargs[field] = now + [value]
        elif isinstance(value, list) and isinstance(now, list):
            spec.kwargs[field] = now + value
        else:
            spec.bad = (field, "flytekit refuses it: cannot add a %s to a %s" % (type(value).__name__, type(now).__name__))

    def method(self, node, owner, name):
        """A method of a known value."""
        args, kwargs, bad = self.arguments(node)
        if isinstance(owner, (list, dict)) and name in MUTATING:
            self.taint(owner, "line %d changes the value by %s()" % (node.lineno, name))
            return Unknown("the result of %s() at line %d is not evaluated" % (name, node.lineno))
        why = bad or reason_in([owner, args, kwargs], self.tainted)
        if why:
            return Unknown(why)
        if isinstance(owner, str) and name in STR_METHODS:
            if name == "format":
                return plain_format(owner, args, kwargs)
            return getattr(owner, name)(*args, **kwargs)
        if isinstance(owner, dict) and name in DICT_METHODS:
            value = getattr(owner, name)(*args)
            return list(value) if name in ("keys", "values", "items") else value
        if isinstance(owner, list) and name in LIST_METHODS:
            return getattr(owner, name)(*args)
        if isinstance(owner, pathlib.PurePath):
            if name in PATH_METHODS:
                return getattr(owner, name)(*args)
            if name in ("resolve", "absolute"):
                full = os.path.join(self.cwd, str(owner))
                return pathlib.PurePosixPath(os.path.realpath(full) if name == "resolve" else full)
        return Unknown("the method %s() at line %d is not evaluated" % (name, node.lineno))

    def library(self, name, args, kwargs, node):
        """A function of the standard library whose result depends on its arguments and the environment alone."""
        why = reason_in([args, kwargs], self.tainted)
        if why and not name.startswith("builtins."):
            return Unknown(why)
        if name in ("os.environ.get", "os.getenv"):
            values = dict(zip(("key", "default"), args))
            values.update(kwargs)
            return self.env(values["key"], values.get("default"))
        if name in ("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "pathlib.PurePosixPath"):
            return pathlib.PurePosixPath(*args)
        if name in ("pathlib.Path.cwd", "os.getcwd"):
            return pathlib.PurePosixPath(self.cwd) if name.startswith("pathlib") else self.cwd
        if name == "os.fspath":
            return os.fspath(args[0])
        if name == "textwrap.dedent":
            import textwrap

            return textwrap.dedent(args[0])
        if name.startswith("os.path.") and name[8:] in PATH_FUNCTIONS:
            if name[8:] in ("abspath", "realpath"):
                args = [os.path.join(self.cwd, os.fspath(args[0]))]
            elif name[8:] == "relpath":
                args = [os.path.join(self.cwd, os.fspath(a)) for a in (args + [self.cwd])[:2]]
            return getattr(os.path, name[8:])(*args)
        if name.startswith("builtins.") and name[9:] in BUILTINS:
            if why or len(args) > 2:
                return Unknown(why or "the call at line %d is not evaluated" % node.lineno)
            value = BUILTINS[name[9:]](*args, **kwargs)
            return list(value) if name == "builtins.reversed" else value
        return Unknown("the result of %s() at line %d is known only when it runs" % (name, node.lineno))


def name_of(func):
    return func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")


def plain_format(form, args, kwargs):
    """str.format without format specifications, attributes and items."""
    import string

    for _, field, spec, _ in string.Formatter().parse(form):
        if spec or (field and not field.isidentifier() and not field.isdigit()):
            raise ValueError("a format specification is not evaluated")
    return form.format(*args, **kwargs)
