"""Follows imports: those of project files into the files, those of other modules by name alone."""


class Lazy:
    """An import that is followed when its name is used."""

    def __init__(self, follow):
        self.follow = follow


class Imports(Calls):
    def do_Import(self, node):
        for a in node.names:
            parts = a.name.split(".")
            bound = parts if a.asname else parts[:1]
            self.scopes[-1][a.asname or parts[0]] = Binding(self.importing(self.bases(), bound, None))

    def do_ImportFrom(self, node):
        parts = node.module.split(".") if node.module else []
        bases = self.bases()
        if node.level:
            package = self.module.package
            for _ in range(node.level - 1):
                package = os.path.dirname(package)
            bases = [package]
        for a in node.names:
            if a.name == "*":
                self.star(bases, parts, node)
            else:
                value = self.importing(bases, parts, a.name, relative=bool(node.level))
                self.scopes[-1][a.asname or a.name] = Binding(value)

    def bases(self):
        """Where absolute imports of project files may start: root, src, and the folder above the file's package."""
        top = self.module.package
        while os.path.isfile(os.path.join(top, "__init__.py")) and top != os.path.dirname(top):
            top = os.path.dirname(top)
        out = []
        for base in (top, self.session.root, os.path.join(self.session.root, "src")):
            if base not in out:
                out.append(base)
        return out

    def importing(self, bases, parts, name, relative=False):
        dotted = ".".join(parts + ([name] if name else []))
        if not relative and (parts[0] in LIBRARIES or parts[0] in ("os", "sys", "pathlib", "typing", "textwrap")):
            return self.external(dotted)

        def follow():
            found = self.session.find(bases, parts, self.module.deps) if parts else Module(bases[0], bases[0])
            if not parts and os.path.isfile(os.path.join(bases[0], "__init__.py")):
                found = self.session.load(os.path.join(bases[0], "__init__.py"))
            if found is None:
                if relative:
                    return Unknown("the module %s is not found" % dotted)
                return self.external(dotted)
            self.module.deps |= found.deps
            if found.error:
                return Unknown("%s: %s" % (os.path.basename(found.path), found.error[1]))
            if name is None:
                return found
            with self.reading() as reads:
                value = self.member(found, name)
            self.module.deps |= found.deps
            return Binding(value, reads)

        return Lazy(follow)

    def star(self, bases, parts, node):
        found = None
        if not parts or parts[0] not in LIBRARIES:
            found = self.session.find(bases, parts, self.module.deps)
        if found is not None and not found.error and not found.starred:
            self.module.deps |= found.deps
            public = found.names.get("__all__")
            names = public.value if public and isinstance(public.value, list) else None
            for name in list(found.names):
                if name in names if names is not None else not name.startswith("_"):
                    self.scopes[-1][name] = Binding(self.member(found, name), found.names[name].reads)
            return
        for name in list(self.scopes[-1]):
            if not name.startswith("__"):
                self.scopes[-1][name] = Binding(Unknown("the star import at line %d may shadow it" % node.lineno, maybe=True))
        if parts and parts[0] in LIBRARIES:
            self.scopes[-1]["ImageSpec"] = Binding(Ext("flytekit.ImageSpec"))
        else:
            self.module.starred = True


