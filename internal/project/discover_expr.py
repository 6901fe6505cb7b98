"""Evaluates expressions. Every call of ImageSpec in one is recorded, whatever stands around it."""

STR_METHODS = set(
    "format lower upper strip lstrip rstrip replace split rsplit splitlines startswith endswith join title "
    "capitalize removeprefix removesuffix count find".split()
)
DICT_METHODS = {"get", "keys", "values", "items", "copy"}
LIST_METHODS = {"copy", "index", "count"}
MUTATING = {
    "append", "extend", "insert", "remove", "pop", "clear", "update", "setdefault", "sort", "reverse", "popitem"
}
PATH_METHODS = {"joinpath", "as_posix", "with_suffix", "with_name", "relative_to", "is_absolute"}
BUILTINS = {
    "str": str, "int": int, "float": float, "bool": bool, "list": list, "tuple": tuple, "dict": dict, "len": len,
    "sorted": sorted, "repr": repr, "min": min, "max": max, "abs": abs, "any": any, "all": all, "reversed": reversed,
}
PATH_FUNCTIONS = {"join", "dirname", "basename", "normpath", "abspath", "realpath", "split", "splitext", "relpath"}
COMPARE = {
    ast.Eq: lambda a, b: a == b, ast.NotEq: lambda a, b: a != b, ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b, ast.Gt: lambda a, b: a > b, ast.GtE: lambda a, b: a >= b,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b, ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}


class Expressions:
    """Evaluation of expressions in self.module, with self.scopes from outside in."""

    def eval(self, node):
        method = getattr(self, "eval_" + type(node).__name__, None)
        try:
            value = method(node) if method else self.visit(node)
        except (Fail, RecursionError):
            raise
        except Exception as e:  # the code itself would raise this, or it is beyond the reader
            return Unknown("%s: %s" % (type(e).__name__, e))
        return checked(value)

    def visit(self, node):
        """Evaluates what is inside a node whose own value is not known."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.eval(child)
        return Unknown("the expression at line %d is known only when it runs" % getattr(node, "lineno", 0))

    def known(self, value):
        """The value, if it is one that the reader computes with; raises ValueError otherwise."""
        why = reason_in(value, self.tainted)
        if why or not constant(value):
            raise ValueError(why or "it is known only when it runs")
        return value

    def attempt(self, compute, *values):
        """compute(*values) if all are known, else the first reason why not."""
        for v in values:
            why = reason_in(v, self.tainted)
            if why:
                return Unknown(why)
            if not constant(v):
                return Unknown("it is known only when it runs")
        return compute(*values)

    def eval_Constant(self, node):
        if isinstance(node.value, (bytes, complex)) or node.value is Ellipsis:
            return Unknown("a %s literal is no value of a spec" % type(node.value).__name__)
        return node.value

    def eval_Name(self, node):
        binding = self.lookup(node.id)
        if binding is None:
            if node.id in BUILTINS:
                return Ext("builtins." + node.id)
            return Unknown("the name %s is not known at line %d" % (node.id, node.lineno))
        self.note(binding.reads)
        return binding.value

    def eval_NamedExpr(self, node):
        value, reads = self.traced(node.value)
        self.bind(node.target, value, reads)
        return value

    def eval_Attribute(self, node):
        owner = self.eval(node.value)
        name = node.attr
        if isinstance(owner, Unknown):
            return owner
        if isinstance(owner, Ext):
            return self.external(owner.name + "." + name)
        if isinstance(owner, Module):
            return self.member(owner, name)
        if isinstance(owner, pathlib.PurePath) and name in ("parent", "name", "stem", "suffix", "parents", "parts"):
            value = getattr(owner, name)
            return tuple(value) if name == "parents" else value
        return Unknown("the attribute %s at line %d is known only when it runs" % (name, node.lineno))

    def external(self, name):
        """A member of another module's, as far as it has a value here."""
        if name == "typing.TYPE_CHECKING":
            return False
        if name == "os.sep" or name == "os.path.sep":
            return "/"
        top, _, rest = name.partition(".")
        if top in LIBRARIES and rest.rpartition(".")[0].endswith("CopyFileDetection"):
            mode = rest.rpartition(".")[2]
            if mode in MODES:
                return Mode(mode)
        if name in ("sys.version_info.major", "sys.version_info.minor"):
            version = self.python()
            if isinstance(version, Unknown):
                return version
            return version[0] if name.endswith("major") else version[1]
        return Ext(name)

    def eval_Subscript(self, node):
        owner = self.eval(node.value)
        index = getattr(node.slice, "value", node.slice) if type(node.slice).__name__ == "Index" else node.slice
        if isinstance(index, ast.Slice):
            parts = [self.eval(p) if p else None for p in (index.lower, index.upper, index.step)]
            if isinstance(owner, Ext) and owner.name == "sys.version_info":
                owner = self.python()
            return self.attempt(lambda o, a, b, c: o[a:b:c], owner, *parts)
        key = self.eval(index)
        if isinstance(owner, Ext) and owner.name == "os.environ":
            return self.attempt(self.environ, key)
        if isinstance(owner, Ext) and owner.name == "sys.version_info":
            owner = self.python()
        if isinstance(owner, (list, tuple, dict, str)) and id(owner) not in self.tainted:
            why = reason_in(key, self.tainted)
            return Unknown(why) if why else owner[key]
        return self.attempt(lambda o, k: o[k], owner, key)

    def environ(self, key):
        value = self.env(key, None)
        if value is None:
            raise Fail("the environment variable %s is not set" % key)
        return value

    def eval_List(self, node):
        return self.items(node.elts)

    def eval_Tuple(self, node):
        items = self.items(node.elts)
        return items if isinstance(items, Unknown) else tuple(items)

    def eval_Set(self, node):
        self.items(node.elts)
        return Unknown("the order of a set is known only when it runs")

    def items(self, nodes):
        out, bad = [], None
        for n in nodes:
            if isinstance(n, ast.Starred):
                part = self.eval(n.value)
                if isinstance(part, (list, tuple)) and id(part) not in self.tainted:
                    out.extend(part)
                elif isinstance(part, (dict, str)):
                    out.extend(part)
                else:
                    bad = Unknown(reason_in(part, self.tainted) or "what * unpacks is known only when it runs")
            else:
                out.append(self.eval(n))
        return bad or out

    def eval_Dict(self, node):
        out, bad = {}, None
        for k, v in zip(node.keys, node.values):
            value = self.eval(v)
            if k is None:
                if isinstance(value, dict) and id(value) not in self.tainted:
                    out.update(value)
                else:
                    bad = Unknown(reason_in(value, self.tainted) or "what ** unpacks is known only when it runs")
                continue
            key = self.eval(k)
            why = reason_in(key, self.tainted)
            if why:
                bad = Unknown(why)
            else:
                out[key] = value
        return bad or out

    def eval_JoinedStr(self, node):
        parts = [self.eval(v) for v in node.values]
        return self.attempt(lambda *p: "".join(p), *parts)

    def eval_FormattedValue(self, node):
        value = self.eval(node.value)
        if node.format_spec is not None:
            self.eval(node.format_spec)
            return Unknown("a format specification in an f-string is not evaluated")
        convert = {-1: str, 115: str, 114: repr, 97: ascii}[node.conversion]
        return self.attempt(convert, value)

    def eval_BinOp(self, node):
        left, right = self.eval(node.left), self.eval(node.right)
        return self.operate(node.op, left, right)

    def operate(self, op, left, right):
        if isinstance(op, ast.Add):
            if isinstance(left, (list, tuple)) and type(left) is type(right):
                for v in (left, right):
                    if id(v) in self.tainted:
                        return Unknown(self.tainted[id(v)])
                return left + right
            return self.attempt(lambda a, b: a + b, left, right)
        if isinstance(op, ast.Div) and (isinstance(left, pathlib.PurePath) or isinstance(right, pathlib.PurePath)):
            return self.attempt(lambda a, b: a / b, left, right)
        if isinstance(op, ast.Mod) and isinstance(left, str):
            return self.attempt(percent, left, right)
        if isinstance(op, ast.BitOr) and isinstance(left, dict) and isinstance(right, dict):
            return self.attempt(lambda a, b: {**a, **b}, left, right)
        if isinstance(op, ast.Mult):
            return self.attempt(times, left, right)
        if isinstance(op, (ast.Sub, ast.FloorDiv, ast.Mod)):
            compute = {ast.Sub: lambda a, b: a - b, ast.FloorDiv: lambda a, b: a // b, ast.Mod: lambda a, b: a % b}
            return self.attempt(compute[type(op)], left, right)
        return Unknown("the operator %s is not evaluated" % type(op).__name__)

    def eval_BoolOp(self, node):
        stop_at = isinstance(node.op, ast.Or)
        for i, n in enumerate(node.values):
            value = self.eval(n)
            if i == len(node.values) - 1:
                return value
            truth = self.truth(value)
            if isinstance(truth, Unknown):
                for rest in node.values[i + 1 :]:
                    self.eval(rest)
                return truth
            if truth == stop_at:
                return value

    def truth(self, value):
        if isinstance(value, (Spec, Module)):
            return True
        if isinstance(value, (list, tuple, dict)) and id(value) not in self.tainted:
            return bool(value)
        return self.attempt(bool, value)

    def eval_UnaryOp(self, node):
        value = self.eval(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return truth if isinstance(truth, Unknown) else not truth
        if isinstance(node.op, ast.USub):
            return self.attempt(lambda a: -a, value)
        return self.attempt(lambda a: +a, value)

    def eval_Compare(self, node):
        left = self.eval(node.left)
        result = True
        for op, right_node in zip(node.ops, node.comparators):
            right = self.eval(right_node)
            if isinstance(right, Ext) and right.name == "os.environ" and isinstance(op, (ast.In, ast.NotIn)):
                key = self.known(left)
                step = (self.env(key, None) is not None) == isinstance(op, ast.In)
            elif isinstance(op, (ast.Is, ast.IsNot)) and right is None and isinstance(left, (Spec, Module, list, dict)):
                step = isinstance(op, ast.IsNot)
            else:
                if isinstance(left, Ext) and left.name == "sys.version_info":
                    left = self.python()
                step = self.attempt(COMPARE[type(op)], left, right)
            if isinstance(step, Unknown):
                result = step
            elif not isinstance(result, Unknown):
                result = result and step
            left = right
        return result

    def eval_IfExp(self, node):
        truth = self.truth(self.eval(node.test))
        if isinstance(truth, Unknown):
            self.eval(node.body)
            self.eval(node.orelse)
            return truth
        return self.eval(node.body if truth else node.orelse)

    def eval_Lambda(self, node):
        self.later(node, [node.args], [node.body])
        return Unknown("a lambda is known only when it runs")

    def comprehension(self, node, emit):
        bad = []

        def loop(generators):
            if not generators:
                emit()
                return
            g = generators[0]
            source = self.eval(g.iter)
            if isinstance(source, dict):
                source = list(source)
            if not isinstance(source, (list, tuple, str)) or id(source) in self.tainted or g.is_async:
                bad.append(reason_in(source, self.tainted) or "what it runs over is known only when it runs")
                return
            for item in list(source)[:1000]:
                self.bind(g.target, item, frozenset())
                truths = [self.truth(self.eval(c)) for c in g.ifs]
                for t in truths:
                    if isinstance(t, Unknown):
                        bad.append(t.reason)
                if all(t is True for t in truths):
                    loop(generators[1:])

        with self.nested():
            loop(node.generators)
            if bad:
                for name in assigned(g.target for g in node.generators):
                    self.scopes[-1][name] = Binding(Unknown(bad[0]))
                emit()
        return Unknown(bad[0]) if bad else None

    def eval_ListComp(self, node):
        out = []
        bad = self.comprehension(node, lambda: out.append(self.eval(node.elt)))
        return bad or out

    eval_GeneratorExp = eval_ListComp

    def eval_DictComp(self, node):
        out = {}

        def emit():
            key, value = self.eval(node.key), self.eval(node.value)
            if not reason_in(key, self.tainted):
                out[key] = value

        bad = self.comprehension(node, emit)
        return bad or out


def percent(form, values):
    """form % values, of the plain kinds."""
    import re

    if re.sub(r"%(\(\w+\))?[sdr]|%%", "", form).count("%"):
        raise ValueError("a width or precision in a % format is not evaluated")
    return form % values


def times(a, b):
    for x, y in ((a, b), (b, a)):
        if isinstance(x, (str, list, tuple)) and isinstance(y, int) and len(x) * y > MAX_TEXT:
            raise ValueError("the value is too large")
    return a * b
