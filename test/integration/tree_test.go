package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed is what may differ between our /root/.venv and that of uv, and why. A path may hold path.Match's wildcards.
var allowed = []struct{ path, why string }{
	{".lock", "uv's own lock of the environment while it works in it; nothing reads it later"},
	{"pyvenv.cfg", "the lines uv = ... and prompt = ... say who made it and for whom; the others are compared apart"},
	{"bin/activate", "ours is shorter, and does the same in the shells that containers have"},
	{"bin/activate.csh", "likewise"},
	{"bin/activate.fish", "likewise"},
	{"bin/activate.*", "scripts for shells that no container of this kind has: Windows' own, nushell, xonsh"},
	{"bin/*.bat", "likewise"},
	{"bin/activate_this.py", "activates an environment within a running interpreter; an image has but one, and it is active"},
}

// What is installed equals what `uv sync` installs in a container of the same base: paths, modes, contents, link targets.
// Times are not compared (ours are fixed), nor owners with uv's, which runs as root: ours all belong to the image's user.
func TestTreeEqualsUVSync(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varBase, varDocker)
	engine := newDocker(t, varDocker)
	d := startDaemon(t, "DOCKER_HOST="+engine.host)
	p := newProject(t, spec{name: "tree-" + random(), base: os.Getenv(varBase)}, science...).lock()
	img := d.ready(d.watch(p.dir).Label, "", "docker")
	engine.forget(img.Name)

	ours := engine.tree(engine.container(img.Name), "/root/.venv")
	synced := uvSync(t, engine, p)
	theirs := engine.tree(synced, "/root/.venv")
	if len(theirs) < 5000 {
		t.Fatalf("uv sync installed only %d files", len(theirs))
	}
	uid, err := strconv.Atoi(strings.TrimSpace(engine.in(img.Name, "id -u")))
	if err != nil {
		t.Fatal(err)
	}
	compareTrees(t, ours, theirs, uid)

	config := filepath.Join(t.TempDir(), "pyvenv.cfg")
	engine.run("cp", synced+":/root/.venv/pyvenv.cfg", config)
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := pyvenv(engine.in(img.Name, "cat /root/.venv/pyvenv.cfg")), pyvenv(string(b)); !slices.Equal(got, want) {
		t.Errorf("pyvenv.cfg holds %q, uv's %q", got, want)
	}
}

func compareTrees(t *testing.T, ours, theirs map[string]entry, uid int) {
	t.Helper()
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	wrong := 0
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if excused(p) {
			continue
		}
		a, inOurs := ours[p]
		b, inTheirs := theirs[p]
		var what string
		switch {
		case !inOurs:
			what = "is missing"
		case !inTheirs:
			what = "is not in uv's"
		case a.kind != b.kind:
			what = fmt.Sprintf("is of type %c, uv's %c", a.kind, b.kind)
		case a.mode != b.mode:
			what = fmt.Sprintf("has mode %o, uv's %o", a.mode, b.mode)
		case a.link != b.link:
			what = fmt.Sprintf("links to %s, uv's to %s", a.link, b.link)
		case a.sum != b.sum:
			what = "has another content"
		case a.uid != uid:
			what = fmt.Sprintf("belongs to %d, not to the image's user %d", a.uid, uid)
		default:
			continue
		}
		if wrong++; wrong <= 40 {
			t.Errorf("%s %s", p, what)
		}
	}
	if wrong > 40 {
		t.Errorf("and %d more", wrong-40)
	}
	t.Logf("%d entries compared", len(all))
}

// excused lets through what is allowed to differ; and what is compiled ahead, which uv's side here is told to
// leave out, and which is judged by the interpreter itself (TestBytecodeIsTheImagesOwn).
func excused(p string) bool {
	if path.Base(p) == "__pycache__" || path.Base(path.Dir(p)) == "__pycache__" {
		return true
	}
	return slices.ContainsFunc(allowed, func(a struct{ path, why string }) bool {
		ok, err := path.Match(a.path, p)
		return ok && err == nil
	})
}

// uvSync runs uv in a container of the base, as flytekit's default builder does for a lock, and returns the container.
func uvSync(t *testing.T, engine docker, p *project) string {
	t.Helper()
	return uvSyncOn(t, engine, p, os.Getenv(varBase))
}

func uvSyncOn(t *testing.T, engine docker, p *project, base string) string {
	t.Helper()
	cache := strings.TrimSpace(command{dir: p.dir}.run(t, os.Getenv(varUV), "cache", "dir"))
	name := "imgspecd-test-" + random()
	args := []string{
		"run", "--user", "root", "--name", name, "--volume", os.Getenv(varUV) + ":/usr/local/bin/uv:ro", "--volume", p.dir + ":/project:ro", "--volume", cache + ":/cache",
		"--env", "UV_CACHE_DIR=/cache", "--env", "UV_COMPILE_BYTECODE=0", "--env", "UV_LINK_MODE=copy", "--env", "UV_NO_PROGRESS=1",
	}
	if ca := os.Getenv(varCA); ca != "" {
		args = append(args, "--volume", ca+":/ca.pem:ro", "--env", "SSL_CERT_FILE=/ca.pem")
	}
	args = append(args, "--workdir", "/root", base, "/bin/bash", "-c",
		"cp /project/pyproject.toml /project/uv.lock . && export UV_PYTHON=$(readlink -f $(command -v python3)) && uv sync --frozen --no-dev --no-install-project")
	t.Cleanup(func() {
		_, _ = command{}.try(context.WithoutCancel(t.Context()), "docker", "--host", engine.host, "rm", "-f", name)
	})
	engine.run(args...)
	return name
}

// pyvenv returns the lines of a pyvenv.cfg but those that may differ.
func pyvenv(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "uv = ") || strings.HasPrefix(l, "prompt = ") })
	slices.Sort(lines)
	return lines
}
