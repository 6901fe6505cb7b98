package integration

import (
	"os"
	"strings"
	"testing"
)

// judge asks the image's own importlib about every .pyc of the environment, and imports some packages.
const judge = `
import importlib._bootstrap_external as e, importlib.util as u, os, site
valid = 0
for d, _, names in os.walk(site.getsitepackages()[0]):
    for n in names:
        p = os.path.join(d, n)
        if not n.endswith(".py") or not os.path.exists(c := u.cache_from_source(p)):
            continue
        b, st = open(c, "rb").read(), os.stat(p)
        e._classify_pyc(b, n, {})
        e._validate_timestamp_pyc(b, int(st.st_mtime), st.st_size, n, {})
        assert e._compile_bytecode(b[16:], n, c, None).co_filename == p, p
        valid += 1
print(valid)
`

// The Python of an image takes what was compiled ahead for it, and compiles nothing of it again; whether this machine has
// such a Python, or the image's own had to compile.
func TestBytecodeIsTheImagesOwn(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varBase, varPython314, varDocker)
	for _, c := range []struct{ name, base string }{{"3.11", varBase}, {"3.14", varPython314}} {
		t.Run(c.name, func(t *testing.T) {
			engine := newDocker(t, varDocker)
			d := startDaemon(t, "DOCKER_HOST="+engine.host)
			p := newProject(t, spec{name: "bytecode-" + random(), base: os.Getenv(c.base)}, "httpx==0.28.1").lock()
			img := d.ready(d.watch(p.dir).Label, "", "docker")
			t.Cleanup(func() { engine.forget(img.Name) })
			if got := strings.TrimSpace(engine.in(img.Name, "python -c '"+judge+"'")); len(got) < 3 {
				t.Errorf("only %s files are compiled", got)
			}
			out := engine.in(img.Name, "python -v -c 'import httpx' 2>&1 | grep -c '^# wrote .*/.venv/' || true")
			if strings.TrimSpace(out) != "0" {
				t.Errorf("%s files were compiled again", out)
			}
		})
	}
}
