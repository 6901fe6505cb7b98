package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// environment is a Lookup over a map.
func environment(m map[string]string) Lookup {
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

// home is an environment with a home, and what else is given.
func home(t *testing.T, more ...string) (string, Lookup) {
	t.Helper()
	dir := t.TempDir()
	m := map[string]string{"HOME": dir}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return dir, environment(m)
}

func put(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestDefaults(t *testing.T) {
	dir, env := home(t)
	c, origins, err := Load(Sources{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, ".local/state/imgspecd"); c.StateDir != want {
		t.Errorf("state_dir = %s, want %s", c.StateDir, want)
	}
	if want := filepath.Join(c.StateDir, "run/imgspecd.sock"); c.Socket != want {
		t.Errorf("socket = %s, want %s", c.Socket, want)
	}
	if c.Watch.Quiet != 150*time.Millisecond || c.Watch.Max != 2*time.Second || c.Build.Concurrent != 2 || c.Fetch.Parallel != 16 ||
		c.Docker.Use != UseAuto || c.Registry.Push != PushAlways || c.Base.Default != "python:{python}-slim-bookworm" {
		t.Errorf("defaults are %+v", c)
	}
	if c.BuildParallel() < 1 || c.LogLevel() != slog.LevelInfo {
		t.Errorf("parallel %d, level %s", c.BuildParallel(), c.LogLevel())
	}
	if len(origins) != len(keys) {
		t.Fatalf("%d origins of %d keys", len(origins), len(keys))
	}
	for i, o := range origins {
		if o.Key != keys[i].name || o.Source != "default" || o.Where != "" || o.Help == "" {
			t.Errorf("origin %+v", o)
		}
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// Every source sets the key that it alone sets, and that of all sources below it.
func TestPrecedence(t *testing.T) {
	dir, env := home(t, "XDG_RUNTIME_DIR", "/run/user/7", "IMGSPECD_FETCH_PARALLEL", "3", "IMGSPECD_FLYTEKIT_VERSION", "1.3",
		"IMGSPECD_REGISTRY_INSECURE", "a:1, b:2", "IMGSPECD_FETCH_OFFLINE", "true", "IMGSPECD_LOG_LEVEL", "")
	user := put(t, filepath.Join(dir, ".config/imgspecd/config.toml"), `
base.default = "user"
[docker]
use = "always"
[fetch]
parallel = 2
[flytekit]
version = "1.1"
[build]
concurrent = 1
[log]
level = "warn"
`)
	proj := filepath.Join(dir, "proj")
	py := put(t, filepath.Join(proj, "pyproject.toml"), `
[project]
name = "x"
[tool.imgspecd]
base = { default = "pyproject" }
flytekit.version = "1.2"
[[tool.imgspecd.image]]
name = "declared"
`)
	own := put(t, filepath.Join(proj, "imgspecd.toml"), "[docker]\nuse = \"never\"\n")
	c, origins, err := Load(Sources{Env: env, ProjectDir: proj, Flags: flags(t, "--build-concurrent=4", "--watch-quiet=1s")})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]struct{ text, source, where string }{
		"socket":            {"/run/user/7/imgspecd/imgspecd.sock", "default", ""},
		"log.level":         {"warn", "user", user + ":12"}, // an empty variable is none
		"base.default":      {"pyproject", "project", py + ":5"},
		"docker.use":        {"never", "project", own + ":2"},
		"flytekit.version":  {"1.3", "env", "IMGSPECD_FLYTEKIT_VERSION"},
		"fetch.parallel":    {"3", "env", "IMGSPECD_FETCH_PARALLEL"},
		"fetch.offline":     {"true", "env", "IMGSPECD_FETCH_OFFLINE"},
		"registry.insecure": {"a:1,b:2", "env", "IMGSPECD_REGISTRY_INSECURE"},
		"build.concurrent":  {"4", "flag", "--build-concurrent"},
		"watch.quiet":       {"1s", "flag", "--watch-quiet"},
		"watch.max":         {"2s", "default", ""},
	} {
		o, ok := origins.Find(key)
		if !ok || o.Text() != want.text || o.Source != want.source || o.Where != want.where {
			t.Errorf("%s: %s from %s (%s), want %v", key, o.Text(), o.Source, o.Where, want)
		}
	}
	if !slices.Equal(c.Registry.Insecure, []string{"a:1", "b:2"}) || !c.Fetch.Offline {
		t.Errorf("%+v", c)
	}
}

func TestPathsFollowTheStateDir(t *testing.T) {
	dir, env := home(t, "IMGSPECD_STATE_DIR", "~/s")
	c, _, err := Load(Sources{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if c.StateDir != filepath.Join(dir, "s") || c.Socket != filepath.Join(dir, "s/run/imgspecd.sock") {
		t.Errorf("state %s, socket %s", c.StateDir, c.Socket)
	}
	c, _, err = Load(Sources{Env: env, Flags: flags(t, "--state-dir=/x")})
	if err != nil {
		t.Fatal(err)
	}
	if c.StateDir != "/x" || c.Socket != "/x/run/imgspecd.sock" {
		t.Errorf("state %s, socket %s", c.StateDir, c.Socket)
	}
}

func TestListFlag(t *testing.T) {
	_, env := home(t)
	c, _, err := Load(Sources{Env: env, Flags: flags(t, "--registry-insecure=a:1,b", "--registry-insecure=c", "--fetch-offline")})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Registry.Insecure, []string{"a:1", "b", "c"}) || !c.Fetch.Offline {
		t.Errorf("%+v", c)
	}
}

func TestErrorsNameKeyValueAndSource(t *testing.T) {
	long := "/" + strings.Repeat("x", 120)
	for name, tt := range map[string]struct {
		user, project string
		env           []string
		args          []string
		want          []string
	}{
		"unknown key":       {user: "[registry]\npsuh = \"never\"\n", want: []string{"config.toml:2: registry.psuh is not a setting; did you mean registry.push?"}},
		"no section":        {user: "push = \"never\"\n", want: []string{"config.toml:1: push is not a setting; did you mean registry.push?"}},
		"foreign key":       {user: "telemetry = true\n", want: []string{"telemetry is not a setting; `imgspecd config` lists them"}},
		"section as value":  {user: "log = \"info\"\n", want: []string{"log is not a setting"}},
		"value as section":  {user: "[log.level]\nx = 1\n", want: []string{"config.toml:2: log.level.x is not a setting"}},
		"images are not me": {user: "[[image]]\nname = \"x\"\n", want: []string{"image is not a setting"}},
		"no toml":           {user: "[log\n", want: []string{"config.toml:1:"}},
		"wrong type":        {user: "[log]\n\nlevel = 3\n", want: []string{`config.toml:3: log.level = "3": it must be a string`}},
		"wrong value":       {user: "log.level = \"loud\"\n", want: []string{`config.toml:1: log.level = "loud": it must be one of debug, info, warn, error`}},
		"number in string":  {user: "build.parallel = \"many\"\n", want: []string{`build.parallel = "many": it must be a whole number`}},
		"out of range":      {env: []string{"IMGSPECD_FETCH_PARALLEL", "0"}, want: []string{`IMGSPECD_FETCH_PARALLEL: fetch.parallel = "0": it must be from 1 to 128`}},
		"no duration":       {env: []string{"IMGSPECD_WATCH_QUIET", "150"}, want: []string{`IMGSPECD_WATCH_QUIET: watch.quiet = "150": it must be a duration`}},
		"no bool":           {env: []string{"IMGSPECD_FETCH_OFFLINE", "ja"}, want: []string{`fetch.offline = "ja": it must be true or false`}},
		"list of numbers":   {user: "registry.insecure = [1]\n", want: []string{"it must be a list of strings"}},
		"no host":           {user: "registry.insecure = [\"http://x/\"]\n", want: []string{`"http://x/" is not host or host:port`}},
		"quiet above max":   {args: []string{"--watch-quiet=3s"}, want: []string{`watch.max = "2s": it must not be less than watch.quiet (3s)`}},
		"relative state":    {args: []string{"--state-dir=x"}, want: []string{`--state-dir: state_dir = "x": it must be an absolute path`}},
		"socket too long":   {args: []string{"--socket=" + long}, want: []string{"--socket: socket = ", "121 bytes", "IMGSPECD_SOCKET"}},
		"no such bundle":    {args: []string{"--tls-ca-bundle=/no/such"}, want: []string{`tls.ca_bundle = "/no/such": no such file can be read`}},
		"ssh engine":        {args: []string{"--docker-host=ssh://h"}, want: []string{`--docker-host: docker.host = "ssh://h": ssh:// is not supported`}},
		"version":           {args: []string{"--flytekit-version=latest"}, want: []string{"it must be a version"}},
		"project trust": {project: "socket = \"/x\"\ndocker.host = \"tcp://h:1\"\nregistry.insecure = [\"h\"]\ntls.ca_bundle = \"/x\"\npython.path = \"/x\"\nstate_dir = \"/x\"\n", want: []string{
			"imgspecd.toml:1: socket", "imgspecd.toml:2: docker.host", "imgspecd.toml:3: registry.insecure", "imgspecd.toml:4: tls.ca_bundle", "imgspecd.toml:5: python.path",
			"imgspecd.toml:6: state_dir", "a project's file may not set it: a project must not decide whom your machine trusts or what it runs", "one daemon serves all projects",
		}},
		"project widens push":   {user: "registry.push = \"on-request\"\n", project: "registry.push = \"always\"\n", want: []string{`imgspecd.toml:1: registry.push = "always": a project's file may only narrow it, and yours says "on-request"`}},
		"project widens docker": {project: "docker.use = \"always\"\n", want: []string{`may only narrow it, and yours says "auto"`}},
		"number in env":         {project: "env = { A = 1 }\n", want: []string{"imgspecd.toml:1: env = ", "the value of A must be a string"}},
		"env is no table":       {project: "env = 3\n", want: []string{"it must be a table of strings"}},
		"cwd leads out":         {project: "cwd = \"../x\"\n", want: []string{`imgspecd.toml:1: cwd = "../x": it must be a directory in the project`}},
		"project nonsense":      {project: "registry.push = \"sometimes\"\n", want: []string{"imgspecd.toml:1: registry.push", "it must be one of"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, env := home(t, tt.env...)
			proj := filepath.Join(dir, "p")
			put(t, filepath.Join(dir, ".config/imgspecd/config.toml"), tt.user)
			put(t, filepath.Join(proj, "imgspecd.toml"), tt.project)
			c, _, err := Load(Sources{Env: env, ProjectDir: proj, Flags: flags(t, tt.args...)})
			if err == nil {
				t.Fatalf("it was taken: %+v", c)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestProjectMayNarrow(t *testing.T) {
	dir, env := home(t)
	put(t, filepath.Join(dir, "p/pyproject.toml"), "[tool.imgspecd]\nregistry.push = \"never\"\n")
	c, _, err := Load(Sources{Env: env, ProjectDir: filepath.Join(dir, "p")})
	if err != nil || c.Registry.Push != PushNever {
		t.Fatalf("%+v, %v", c, err)
	}
	// The user's own word, said now, wins, and so the file's wish is no matter.
	put(t, filepath.Join(dir, ".config/imgspecd/config.toml"), "registry.push = \"never\"\n")
	put(t, filepath.Join(dir, "p/pyproject.toml"), "[tool.imgspecd]\nregistry.push = \"always\"\n")
	c, _, err = Load(Sources{Env: env, ProjectDir: filepath.Join(dir, "p"), Flags: flags(t, "--registry-push=on-request")})
	if err != nil || c.Registry.Push != PushOnRequest {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestMissingFiles(t *testing.T) {
	dir, env := home(t)
	if _, _, err := Load(Sources{Env: env, ProjectDir: dir}); err != nil {
		t.Errorf("a project without a file: %v", err)
	}
	if _, _, err := Load(Sources{Env: env, UserFile: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a named file that is not there: %v", err)
	}
	if _, _, err := Load(Sources{Env: environment(nil)}); err == nil || !strings.Contains(err.Error(), "neither HOME nor the XDG variables") {
		t.Errorf("no home: %v", err)
	}
}

func TestErrorsAreTyped(t *testing.T) {
	_, env := home(t, "IMGSPECD_LOG_LEVEL", "x")
	var ve *ValueError
	if _, _, err := Load(Sources{Env: env}); !errors.As(err, &ve) || ve.Key != "log.level" || ve.Value != "x" || ve.Where != "IMGSPECD_LOG_LEVEL" {
		t.Errorf("%#v", ve)
	}
	c := &Config{}
	if err := c.Check(); !errors.As(err, &ve) {
		t.Errorf("an empty Config passed: %v", err)
	}
}

// A project's file comes from a repository, and may be anything.
func TestHostileProjectFiles(t *testing.T) {
	dir, env := home(t)
	load := func(name string) error {
		_, _, err := Load(Sources{Env: env, ProjectDir: filepath.Join(dir, name)})
		return err
	}
	for name, place := range map[string]func(file string) error{
		"device": func(f string) error { return os.Symlink("/dev/zero", f) },
		"pipe":   func(f string) error { return syscall.Mkfifo(f, 0o600) },
		"dir":    func(f string) error { return os.Mkdir(f, 0o700) },
		"huge":   func(f string) error { return os.WriteFile(f, make([]byte, maxFile+1), 0o600) },
		"deep": func(f string) error {
			return os.WriteFile(f, []byte("x = "+strings.Repeat("[", 1<<20)), 0o600)
		},
	} {
		file := filepath.Join(dir, name, "pyproject.toml")
		if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), place(file)); err != nil {
			t.Fatal(err)
		}
		var fe *FileError
		if err := load(name); !errors.As(err, &fe) || fe.File != file {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file of the largest size is read in passing, whatever is in it.
func TestLargestFile(t *testing.T) {
	dir, env := home(t)
	put(t, filepath.Join(dir, "pyproject.toml"), "[tool.imgspecd]\nflytekit.version = '1.2'\n[other]\n"+strings.Repeat("#\n", maxFile/4)+keysOf(10_000))
	start := time.Now()
	_, origins, err := Load(Sources{Env: env, ProjectDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := origins.Find("flytekit.version"); o.Text() != "1.2" || !strings.HasSuffix(o.Where, ":2") {
		t.Errorf("%+v", o)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}

func keysOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d = 1\n", i)
	}
	return b.String()
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(Example()))
	f.Add([]byte("a.\"b\\u00e9\".c = { d = { e = 1 }, 'f' = [] }\n[[image]]\nx=1\n[log]\nlevel='info'"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_ = newLayer("project").read("f.toml", data, nil)
		_ = newLayer("project").read("f.toml", data, []string{"tool", "imgspecd"})
	})
}

func TestForProjectLaysTheProjectsFileBetween(t *testing.T) {
	dir := t.TempDir()
	project := filepath.Join(dir, "p")
	put(t, filepath.Join(project, "pyproject.toml"), "[tool.imgspecd]\nbase.default = \"debian-with-python:{python}\"\nregistry.push = \"never\"\n\n[[tool.imgspecd.image]]\nname = \"x\"\n")
	env := environment(map[string]string{"HOME": dir, "IMGSPECD_WATCH_QUIET": "300ms"})
	c, _, err := Load(Sources{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.ForProject(project)
	if err != nil {
		t.Fatal(err)
	}
	if p.Base.Default != "debian-with-python:{python}" || p.Registry.Push != PushNever || p.Watch.Quiet != c.Watch.Quiet {
		t.Errorf("for the project: %+v", p)
	}
	if c.Base.Default == p.Base.Default {
		t.Error("the project's file changed the daemon's own settings")
	}
}

// The names in the table of variables are kept as they are written, and the highest source's table counts as a whole.
func TestEnvOfAProject(t *testing.T) {
	dir, env := home(t)
	py := put(t, filepath.Join(dir, "p/pyproject.toml"), "[tool.imgspecd]\ncwd = \"flows\"\nrebuild = \"auto\"\nenv = { REG = \"ghcr.io/Acme\", \"a.b\" = \"1\" }\n")
	c, origins, err := Load(Sources{Env: env, ProjectDir: filepath.Join(dir, "p")})
	if err != nil {
		t.Fatal(err)
	}
	if c.Cwd != "flows" || c.Rebuild != RebuildAuto || len(c.Env) != 2 || c.Env["REG"] != "ghcr.io/Acme" || c.Env["a.b"] != "1" {
		t.Errorf("%+v", c)
	}
	if o, _ := origins.Find("env"); o.Source != "project" || o.Where != py+":4" || o.Text() != "REG=ghcr.io/Acme,a.b=1" {
		t.Errorf("origin %+v", o)
	}
	put(t, filepath.Join(dir, "p/imgspecd.toml"), "[env]\nMODE = \"x\"\n")
	c, _, err = Load(Sources{Env: env, ProjectDir: filepath.Join(dir, "p")})
	if err != nil || len(c.Env) != 1 || c.Env["MODE"] != "x" {
		t.Errorf("%+v, %v", c, err)
	}
	c, origins, err = Load(Sources{Env: env, ProjectDir: filepath.Join(dir, "p"), Flags: flags(t, "--env=Z=1")})
	if err != nil || len(c.Env) != 1 || c.Env["Z"] != "1" {
		t.Errorf("%+v, %v", c, err)
	}
	if o, _ := origins.Find("env"); o.Source != "flag" {
		t.Errorf("origin %+v", o)
	}
}
