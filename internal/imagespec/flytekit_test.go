package imagespec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// namer names the specs that it reads: first a line with the place and what is loaded there, then a spec a line.
const namer = `
import importlib.util, os, platform
import flytekit
from flytekit import ImageSpec
from flytekit.constants import CopyFileDetection
` + decoder + `
where = json.loads(sys.stdin.readline())
os.chdir(where["dir"])
sys.dont_write_bytecode = True
for i, path in enumerate(where["modules"]):
    spec = importlib.util.spec_from_file_location("loaded%d" % i, path)
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
print(flytekit.__version__)
for line in sys.stdin:
    q = json.loads(line)
    platform.machine = lambda: q["machine"]
    try:
        s = ImageSpec(**{k: value(v) for k, v in q["spec"].items()})
        for method, args in q["calls"]:
            s = getattr(s, method)(*[value(a) for a in args])
        print(json.dumps([s.image_name().encode("utf-8", "surrogatepass").hex(), s.id]))
    except Exception as e: print(json.dumps([type(e).__name__, ""]))
`

// TestNamesAgainstFlytekit names random specs here and with real flytekits.
func TestNamesAgainstFlytekit(t *testing.T) {
	for _, v := range []struct{ release, variable string }{
		{"1.16", "IMGSPECD_TEST_FLYTEKIT_PYTHON"}, {"1.14", "IMGSPECD_TEST_FLYTEKIT114_PYTHON"},
	} {
		t.Run(v.release, func(t *testing.T) {
			interpreter := os.Getenv(v.variable)
			if interpreter == "" {
				leftOut(t, v.variable+" is not set: it is a Python that has flytekit "+v.release)
			}
			rounds := uint64(3)
			if os.Getenv("IMGSPECD_TEST_FULL") != "" {
				rounds = 30
			}
			got := tally{fields: map[string]int{}}
			for seed := range rounds {
				got.round(t, random{rand.New(rand.NewPCG(5, seed))}, interpreter, v.release)
			}
			got.check(t, v.release)
		})
	}
}

// tally counts what was compared, so that a generator that only makes refused specs is noticed.
type tally struct {
	named, raised, nested, called int
	fields                        map[string]int // in specs that have a name
}

type question struct {
	Spec    json.RawMessage   `json:"spec"`
	Calls   []json.RawMessage `json:"calls"`
	Machine string            `json:"machine"`
}

// round compares 200 specs on one forest.
func (c *tally) round(t *testing.T, r random, interpreter, release string) {
	t.Helper()
	f := r.forest(t, 8)
	place, err := json.Marshal(map[string]any{"dir": f.dir, "modules": f.modules})
	if err != nil {
		t.Fatal(err)
	}
	in := []string{string(place)}
	var specs []Spec
	var asked []question
	for range 200 {
		s := r.spec(f, 2, release)
		q := question{Spec: s.JSON(), Calls: r.calls(), Machine: r.pick([]string{"x86_64", "arm64", "aarch64"})}
		line, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		specs, asked, in = append(specs, s), append(asked, q), append(in, string(line))
	}
	out := python(t, interpreter, namer, in)
	if !strings.HasPrefix(out[0], release+".") {
		t.Fatalf("%s has flytekit %s, want %s", interpreter, out[0], release)
	}
	for i, s := range specs {
		var want [2]string
		if err := json.Unmarshal([]byte(out[i+1]), &want); err != nil {
			t.Fatal(err)
		}
		n := name(t, s, asked[i], Options{Dir: f.dir, Flytekit: out[0], Machine: asked[i].Machine, Modules: f.modules})
		if n.Name != want[0] || n.ID != want[1] {
			t.Errorf("%s\n got %s %s\nwant %s %s\nof %q", in[i+1], n.Name, n.ID, want[0], want[1], n.Hashed)
		}
		c.count(n, asked[i])
	}
}

// name is what imgspecd says: a name in hex, or the type of the exception that flytekit shall raise.
func name(t *testing.T, s Spec, q question, o Options) Named {
	t.Helper()
	var n Named
	var err error
	for _, call := range q.Calls {
		if err == nil {
			// flytekit checks a spec before a method of it can be called.
			if _, err = constructed(s, o); err == nil {
				s, err = ParseCall(s, call)
			}
		}
	}
	if err == nil {
		n, err = Name(s, o)
	}
	var raised *PythonError
	switch {
	case errors.As(err, &raised):
		n.Name, n.ID = raised.Type, ""
	case err != nil:
		t.Fatalf("%s: %v", q.Spec, err)
	default:
		n.Name = fmt.Sprintf("%x", n.Name)
	}
	return n
}

func (c *tally) count(n Named, q question) {
	if n.ID == "" {
		c.raised++
		return
	}
	c.named++
	if n.Base != nil {
		c.nested++
	}
	if len(q.Calls) > 0 {
		c.called++
	}
	for ; ; n = *n.Base {
		for _, f := range n.Spec.Set() {
			c.fields[f]++
		}
		if n.Base == nil {
			return
		}
	}
}

func (c *tally) check(t *testing.T, release string) {
	t.Helper()
	t.Logf("%d named (%d nested, %d with calls), %d raise; fields %v", c.named, c.nested, c.called, c.raised, c.fields)
	if c.named < c.raised || c.nested*10 < c.named || c.called*10 < c.named {
		t.Error("the specs are too poor to prove anything")
	}
	for _, f := range fieldNames {
		if c.fields[f]*10 < c.named && !younger(f, release) {
			t.Errorf("only %d specs with %s", c.fields[f], f)
		}
	}
}

// younger reports whether a field came after flytekit 1.14.
func younger(field, release string) bool {
	r, err := ruleFor(release + ".9")
	return err == nil && r.unknown[field]
}

// calls makes calls of the methods that change a spec; most specs have none.
func (r random) calls() []json.RawMessage {
	out := []json.RawMessage{}
	if r.IntN(4) > 0 {
		return out
	}
	for range 1 + r.IntN(2) {
		var arg Value = Str(r.text())
		switch r.IntN(3) {
		case 0:
			arg = List{Str(r.text()), Str(r.text())}
		case 1:
			arg = List{}
		}
		method := r.pick([]string{"with_packages", "with_commands", "with_apt_packages"})
		out = append(out, json.RawMessage(jsonOf(List{Str(method), List{arg}})))
	}
	return out
}

// spec makes a spec with about a third of the fields, seldom with one of the wrong type or too young for the release.
func (r random) spec(f forest, depth int, release string) Spec {
	s := Spec{}
	for _, field := range fieldNames {
		if younger(field, release) && r.IntN(60) > 0 {
			continue
		}
		v := r.field(f, field, depth, release)
		switch r.IntN(8) {
		case 0:
			if field != "name" && field != "registry" || r.IntN(10) == 0 {
				s = s.with(field, None{})
			}
		case 1, 2, 3:
			s = s.with(field, v)
		case 4:
			if r.IntN(50) == 0 {
				s = s.with(field, r.value(1))
			}
		}
	}
	if mode := s.fields["source_copy_mode"]; !isNone(mode) && isNone(s.fields["source_root"]) && r.IntN(8) > 0 {
		s = s.with("source_root", f.written(r, r.pick(f.roots)))
	}
	return s
}

func (r random) field(f forest, field string, depth int, release string) Value {
	switch field {
	case "requirements":
		return f.written(r, r.pick([]string{"r.txt", "r.txt", "uv.lock", "uv.lock", "poetry.lock", "empty", r.pick(f.paths)}))
	case "source_root":
		return f.written(r, r.pick(append([]string{".", "gone"}, f.roots...)))
	case "source_copy_mode":
		return CopyMode(1 + r.IntN(3))
	case "copy":
		list := List{}
		for range r.IntN(3) {
			list = append(list, f.written(r, r.pick(f.paths)))
		}
		if r.IntN(12) == 0 {
			return f.written(r, r.pick(f.roots))
		}
		return list
	case "packages", "conda_packages", "conda_channels", "apt_packages", "pip_extra_index_url", "entrypoint", "commands", "runtime_packages":
		list := List{}
		for range r.IntN(3) {
			list = append(list, Str(r.text()))
		}
		return list
	case "registry":
		return Str(r.pick([]string{"ghcr.io/Me", "localhost:30000", "localhost:30000/x", "", "docker.io/x/y.z-_", r.pick([]string{"a b", "h:1/é", "x\n"})}))
	case "builder":
		return Str(r.pick([]string{"default", "envd", "noop", ""}))
	case "platform":
		return Str(r.pick([]string{"linux/amd64", "linux/arm64", "linux/amd64,linux/arm64", "", r.text()}))
	case "tag_format":
		return Str(r.pick([]string{"", "{spec_hash}-x", "{spec_hash:.5}", "{{{spec_hash!r:>30}}}", "v1", r.pick([]string{"{}", "{nope}", "{"})}))
	case "builder_options", "env", "builder_config":
		d := NewDict()
		for range r.IntN(4) {
			_ = d.Set(Str(r.text()), r.value(2))
		}
		return d
	case "pip_secret_mounts":
		return List{Tuple{Str("a"), Str(r.text())}}
	case "base_image":
		if depth > 0 && r.IntN(2) == 0 {
			return r.spec(f, depth-1, release)
		}
		return Str("x:1")
	}
	return Str(r.text())
}
