package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/builder/buildkit"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/publish/docker"
)

// machine is one on which everything is well.
func machine(t *testing.T) Deps {
	t.Helper()
	dir, err := os.MkdirTemp("", "doctor") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Deps{
		StateDir: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "s"), DockerUse: "auto", Bytecode: "auto", Push: "always",
		DockerAt: func() (string, string, error) { return "unix:///d.sock", "default", nil },
		Docker: func(context.Context) (docker.Info, error) {
			return docker.Info{Version: "29.0.1", Driver: "overlay2"}, nil
		},
		BuildKit: func(context.Context) (buildkit.Info, error) {
			return buildkit.Info{From: "docker", Why: "it is there"}, nil
		},
		UV:     func(context.Context) (string, string, error) { return "/bin/uv", "uv 0.9", nil },
		Python: func(context.Context) (string, string, error) { return "/bin/python3", "Python 3.12.1", nil },
		Compiler: func(_ context.Context, minor string) (string, string, bool) {
			return "/bin/python", minor + ".1", minor == "3.12"
		},
		Images:  []api.Image{{Name: "cr.example.com/churn:a", Registry: "cr.example.com"}, {Name: "local:b"}},
		Probe:   func(context.Context, string) error { return nil },
		Indexes: []string{"https://pypi.org/simple"},
		Index:   func(context.Context, int) error { return nil },
	}
}

// level is the worst of an area's checks, with their texts and hints.
func level(d api.Doctor, area string) (worst api.Level, text string) {
	for _, c := range d.Checks {
		if c.Area != area {
			continue
		}
		text += c.Text + " " + c.Hint + "\n"
		if worst == "" || c.Level == api.LevelFail || worst == api.LevelOK {
			worst = c.Level
		}
	}
	return worst, text
}

func TestAllWell(t *testing.T) {
	for _, c := range Examine(t.Context(), machine(t)).Checks {
		if c.Level != api.LevelOK && c.Area != "watch" && c.Area != "state" { // these two are this machine's own
			t.Errorf("%+v", c)
		}
	}
}

func TestWhatIsWrong(t *testing.T) {
	gone := errors.New("it is gone")
	for name, c := range map[string]struct {
		wrong func(*Deps)
		area  string
		level api.Level
		text  string
	}{
		"no docker": {func(d *Deps) { d.Docker = func(context.Context) (docker.Info, error) { return docker.Info{}, gone } }, "docker", api.LevelWarn, "it is gone"},
		"no docker, and wanted": {func(d *Deps) {
			d.DockerUse = "always"
			d.DockerAt = func() (string, string, error) { return "", "", gone }
		}, "docker", api.LevelFail, "it is gone"},
		"docker is not wanted":   {func(d *Deps) { d.DockerUse, d.DockerAt = "never", nil }, "docker", api.LevelOK, "not used"},
		"no buildkit":            {func(d *Deps) { d.BuildKit = noBuildKit }, "buildkit", api.LevelWarn, "only specs with apt_packages"},
		"no buildkit, and named": {func(d *Deps) { d.BuildKit, d.BuildKitNamed = noBuildKit, "BUILDKIT_HOST" }, "buildkit", api.LevelFail, "change BUILDKIT_HOST"},
		"no compiler":            {func(d *Deps) { d.Compiler = noCompiler }, "bytecode", api.LevelWarn, "uv python install"},
		"no compiler, and on":    {func(d *Deps) { d.Compiler, d.Bytecode = noCompiler, "on" }, "bytecode", api.LevelFail, "bytecode = on"},
		"push denied":            {func(d *Deps) { d.Probe = probe(publish.ErrDenied) }, "registry", api.LevelFail, "docker login cr.example.com"},
		"push denied, not yet":   {func(d *Deps) { d.Probe, d.Push = probe(publish.ErrDenied), "on-request" }, "registry", api.LevelWarn, "push denied"},
		"never pushed":           {func(d *Deps) { d.Probe, d.Push = nil, "never" }, "registry", api.LevelOK, "never pushed"},
		"docker hub": {func(d *Deps) {
			d.Probe = probe(publish.ErrDenied)
			d.Images[0] = api.Image{Name: "acme/churn:a", Registry: "acme"}
		}, "registry", api.LevelFail, "docker login docker.io"},
		"cache denied": {withCache(func(d *Deps) {
			d.PutCache = func(context.Context) error { return fmt.Errorf("x: %w", publish.ErrDenied) }
		}), "cache", api.LevelWarn, `docker login r.example.com, or set cache.mode = "read-only"`},
		"cache is only read": {withCache(func(d *Deps) { d.CacheRead, d.PutCache = true, nil }), "cache", api.LevelOK, "only read"},
		"cache is gone":      {withCache(func(d *Deps) { d.ReadCache = func(context.Context) error { return gone } }), "cache", api.LevelWarn, "builds go on without it"},
		"cache is well":      {withCache(func(*Deps) {}), "cache", api.LevelOK, "readable and writable"},
		"no index":           {func(d *Deps) { d.Index = func(context.Context, int) error { return gone } }, "index", api.LevelFail, "https://pypi.org/simple: it is gone"},
		"offline":            {func(d *Deps) { d.Index, d.Offline = nil, true }, "index", api.LevelOK, "not asked"},
		"polling":            {func(d *Deps) { d.Watching = func() error { return gone } }, "watch", api.LevelWarn, "it is gone"},
		"no socket, a file":  {func(d *Deps) { write(t, d.Socket) }, "socket", api.LevelFail, "is no socket"},
		"an open door":       {func(d *Deps) { open(t, d.Socket) }, "socket", api.LevelFail, "chmod 700"},
	} {
		t.Run(name, func(t *testing.T) {
			d := machine(t)
			c.wrong(&d)
			got, text := level(Examine(t.Context(), d), c.area)
			if got != c.level || !strings.Contains(text, c.text) {
				t.Errorf("%s: %s", got, text)
			}
		})
	}
}

// withCache is a machine with a team cache, on which everything is well but what wrong makes of it.
func withCache(wrong func(*Deps)) func(*Deps) {
	return func(d *Deps) {
		d.Cache = "r.example.com/acme/layers"
		d.ReadCache = func(context.Context) error { return nil }
		d.PutCache = d.ReadCache
		wrong(d)
	}
}

func noBuildKit(context.Context) (buildkit.Info, error) {
	return buildkit.Info{}, fmt.Errorf("%w: docker: no", buildkit.ErrNone)
}

func noCompiler(context.Context, string) (string, string, bool) { return "", "", false }

func probe(err error) func(context.Context, string) error {
	return func(context.Context, string) error { return fmt.Errorf("start upload: %w", err) }
}

func write(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// open makes a socket that others may open.
func open(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := errors.Join(os.Chmod(path, 0o666), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
}

func TestNoValueOfAVariableIsTold(t *testing.T) {
	d := machine(t)
	d.Environ = []string{"UV_INDEX_CORP_PASSWORD=hunter2", "HOME=/home/me", "UV_RUN_RECURSION_DEPTH=1", "http_proxy=http://u:hunter2@p"}
	one, two := Examine(t.Context(), d), Examine(t.Context(), d)
	if text := fmt.Sprintf("%+v", one); strings.Contains(text, "hunter2") || len(one.Environment) != 2 {
		t.Errorf("%s", text)
	}
	const name = "UV_INDEX_CORP_PASSWORD"
	if one.Environment[name] != api.ConcealValue(one.Salt, "hunter2") || one.Environment[name] == two.Environment[name] {
		t.Errorf("%s and %s", one.Environment[name], two.Environment[name])
	}
}
