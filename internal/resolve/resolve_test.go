package resolve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	venv := t.TempDir()
	put(t, venv, map[string]string{"pyvenv.cfg": "", "bin/python": ""})
	r := newRig(t, func(d *Deps) {
		d.Env = []string{
			"PATH=" + venv + "/bin:/usr/bin:/bin:relative", "HOME=/home/x", "SECRET=c4nary-env", "VIRTUAL_ENV=" + venv, "CONDA_PREFIX=/c", "PYTHONPATH=/p",
			"UV_INDEX_CORP_PASSWORD=pw", "UV_DEFAULT_INDEX=https://mine", "UV_INDEX=https://mine-too", "UV_PRERELEASE=allow", "HTTPS_PROXY=http://proxy", "TOKEN=t",
		}
		d.Passed = []string{"TOKEN"}
		d.CA = []byte("PEM")
		d.Default = "https://fallback"
	})
	req := packages("pandas", "httpx>=0.27")
	req.Requirements = []byte("# ours\r\n  requests \n x==1 \\\n --hash=sha256:y")
	req.PipIndex = "https://u:c4nary@i.example/simple"
	req.PipExtraIndexURL = []string{"https://e1", "https://u:c4nary2@e2"}
	req.PipExtraArgs = `--pre --exclude-newer '2026-01-01 x' -fhttps://links --compile-bytecode --link-mode copy`
	r.resolve(req)

	args := strings.Split(strings.TrimSpace(r.noted("args")), "\n")
	i := slices.Index(args, "--project")
	if i < 0 || !strings.HasPrefix(args[i+1], r.deps.Tmp) {
		t.Fatalf("args %q", args)
	}
	args = slices.Delete(args, i, i+2)
	want := "pip compile --no-build --format pylock.toml --no-header --no-annotate --python-version 3.12.7 --python-platform x86_64-manylinux_2_36" +
		" --system --pre --exclude-newer=2026-01-01 x -"
	if got := strings.Join(args, " "); got != want {
		t.Errorf("args\n%s, want\n%s", got, want)
	}
	if got, want := r.noted("stdin"), "requests\nx==1 --hash=sha256:y\npandas\nhttpx>=0.27\nflytekit==1.16.31\n"; got != want {
		t.Errorf("requirements %q, want %q", got, want)
	}
	env := r.noted("env")
	for _, s := range []string{
		"UV_DEFAULT_INDEX=https://u:c4nary@i.example/simple\n", "UV_EXTRA_INDEX_URL=https://e1 https://u:c4nary2@e2\n", "UV_FIND_LINKS=https://links\n",
		"PATH=/usr/bin:/bin\n", "HOME=/home/x\n", "UV_INDEX_CORP_PASSWORD=pw\n", "HTTPS_PROXY=http://proxy\n", "TOKEN=t\n", "SSL_CERT_FILE=" + r.deps.Tmp, "UV_PYTHON_DOWNLOADS=never\n",
	} {
		if !strings.Contains(env, s) {
			t.Errorf("uv's environment lacks %q", s)
		}
	}
	for _, s := range []string{"c4nary-env", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "https://mine", "UV_PRERELEASE"} {
		if strings.Contains(env, s) {
			t.Errorf("uv's environment has %q", s)
		}
	}
	if left, _ := os.ReadDir(r.deps.Tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for k, v := range r.cache.m {
		if s := k + string(v) + r.log.String(); strings.Contains(s, "c4nary") {
			t.Errorf("a credential was kept or told: %s", s)
		}
	}
}

func TestIndexesOfTheMachine(t *testing.T) {
	machine := []string{"PATH=/bin", "UV_INDEX_URL=https://own", "UV_EXTRA_INDEX_URL=https://own-extra"}
	for name, tt := range map[string]struct {
		env    []string
		change func(*Request)
		want   string
	}{
		"named by nobody":     {[]string{"PATH=/bin"}, nil, "UV_DEFAULT_INDEX=https://conf UV_EXTRA_INDEX_URL=https://conf-extra"},
		"by the environment":  {machine, nil, "UV_EXTRA_INDEX_URL=https://own-extra UV_INDEX_URL=https://own"},
		"by the spec":         {machine, func(r *Request) { r.PipIndex = "https://spec" }, "UV_DEFAULT_INDEX=https://spec"},
		"extra by the spec":   {machine, func(r *Request) { r.PipExtraIndexURL = []string{"https://spec"} }, "UV_EXTRA_INDEX_URL=https://spec UV_INDEX_URL=https://own"},
		"by extra args":       {machine, func(r *Request) { r.PipExtraArgs = "--index-url https://args" }, "UV_DEFAULT_INDEX=https://args"},
		"by the requirements": {machine, func(r *Request) { r.Requirements = []byte("-i https://text\n") }, "UV_DEFAULT_INDEX=https://text"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(d *Deps) { d.Env, d.Default, d.Extra = tt.env, "https://conf", []string{"https://conf-extra"} })
			req := packages("x")
			if tt.change != nil {
				tt.change(&req)
			}
			r.resolve(req)
			var got []string
			for _, kv := range strings.Split(r.noted("env"), "\n") {
				if strings.Contains(kv, "://") {
					got = append(got, kv)
				}
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestSameAgain(t *testing.T) {
	r := newRig(t, nil)
	req := packages("x")
	first, at := r.resolve(req)
	r.script("printf '" + `lock-version = "1.0"\nnew\n` + "'")

	check := func(name string, req Request, wantNew bool) {
		t.Helper()
		before := r.runs()
		got, when := r.resolve(req)
		if isNew := got != first; isNew != wantNew || (r.runs() > before) != wantNew {
			t.Errorf("%s: new %v after %d runs, want new %v", name, isNew, r.runs()-before, wantNew)
		}
		if !wantNew && !when.Equal(at) {
			t.Errorf("%s: of %s, want %s", name, when, at)
		}
	}
	r.now = r.now.Add(23 * time.Hour)
	check("a day is not over", req, false)
	r.now = r.now.Add(2 * time.Hour)
	keep := req
	keep.Keep = true
	check("its image is ready", keep, false)
	r.script("echo 'error: Failed to fetch: https://u:c4nary@i/simple/x/' >&2; exit 2")
	if got, _ := r.resolve(req); got != first {
		t.Error("an index that is down changed the answer")
	}
	if s := r.log.String(); !strings.Contains(s, "the last resolution is used") || strings.Contains(s, "c4nary") {
		t.Errorf("log: %s", s)
	}
	fresh := req
	fresh.Fresh = true
	if _, _, err := r.Resolve(t.Context(), fresh); err == nil {
		t.Error("an old answer was given to who asked for a new one")
	}
	r.script("printf '" + `lock-version = "1.0"\nnew\n` + "'")
	check("a day is over", req, true)
	r.now = r.now.Add(time.Minute)
	check("asked for", fresh, true)
	if !strings.Contains(r.noted("args"), "--refresh") {
		t.Error("uv was not told to look anew")
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"more.txt": "-c deep/c.txt\nx", "deep/c.txt": "y<2"})
	base := packages("x")
	base.Requirements, base.Dir = []byte("-r more.txt"), dir
	key := func(change func(*Request), deps func(*Deps)) string {
		t.Helper()
		req := base
		if change != nil {
			change(&req)
		}
		j, err := newRig(t, deps).prepare(req)
		if err != nil {
			t.Fatal(err)
		}
		return j.key
	}
	first := key(nil, nil)
	for name, same := range map[string]string{
		"again":      key(nil, nil),
		"fresh":      key(func(r *Request) { r.Fresh = true }, nil),
		"of another": key(nil, func(d *Deps) { d.Env = append(d.Env, "UV_INDEX_X_PASSWORD=p", "HOME=/h") }),
	} {
		if same != first {
			t.Errorf("%s: another key", name)
		}
	}
	with := func(url string) func(*Request) { return func(r *Request) { r.PipIndex = url } }
	if key(with("https://i/simple"), nil) != key(with("https://a:b@i/simple"), nil) {
		t.Error("a password changes the key")
	}
	token := func(value string) func(*Deps) {
		return func(d *Deps) { d.Env, d.Passed = append(d.Env, "TOKEN="+value), []string{"TOKEN"} }
	}
	for text, same := range map[string]bool{"-i https://u:${TOKEN}@h/simple": true, "x==${TOKEN}": false} {
		change := func(r *Request) { r.Requirements = []byte(text) }
		if got := key(change, token("1.0")) == key(change, token("2.0")); got != same {
			t.Errorf("%s: the same key %v, want %v", text, got, same)
		}
	}
	put(t, dir, map[string]string{"deep/c.txt": "y<3"})
	deep := key(nil, nil)
	put(t, dir, map[string]string{"deep/c.txt": "y<2"})
	keys := []string{
		first, deep, key(with("https://i/simple"), nil), key(func(r *Request) { r.Environment.Python = "3.12.8" }, nil),
		key(func(r *Request) { r.Environment.Libc.Minor = 31 }, nil), key(func(r *Request) { r.Packages = nil }, nil),
		key(func(r *Request) { r.Flytekit = "1.16.3" }, nil), key(func(r *Request) { r.PipExtraArgs = "--pre" }, nil),
		key(nil, func(d *Deps) { d.Env = append(d.Env, "UV_INDEX_URL=https://i/simple") }),
		key(func(r *Request) { r.PipExtraArgs = "-f https://i" }, nil), key(func(r *Request) { r.PipExtraIndexURL = []string{"https://i/simple"} }, nil),
	}
	slices.Sort(keys)
	if n := len(slices.Compact(keys)); n != 11 {
		t.Errorf("%d keys of 11 questions", n)
	}
}

func TestOneAtATime(t *testing.T) {
	r := newRig(t, nil)
	r.script("sleep 0.2; printf '" + `lock-version = "1.0"\n` + "'")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			req := packages("x")
			req.Fresh = true
			if _, _, err := r.Resolve(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.runs(); n != 1 {
		t.Errorf("uv ran %d times", n)
	}
	if len(r.turns) != 0 {
		t.Errorf("%d turns are left", len(r.turns))
	}
}

// Whatever uv has started ends with it.
func TestEnd(t *testing.T) {
	for _, name := range []string{"cancelled", "too long"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(d *Deps) {
				if name == "too long" {
					d.Timeout = 300 * time.Millisecond
				}
			})
			r.script("sleep 60 & echo $! >child; wait")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			gone := errors.New("superseded")
			if name == "cancelled" {
				time.AfterFunc(300*time.Millisecond, func() { cancel(gone) })
			}
			_, _, err := r.Resolve(ctx, packages("x"))
			var e *Error
			if name == "cancelled" && !errors.Is(err, gone) || name == "too long" && (!errors.As(err, &e) || e.Kind != TimedOut) {
				t.Errorf("error %v", err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(r.noted("child")))
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			if syscall.Kill(pid, 0) == nil {
				t.Error("what uv had started still runs")
			}
		})
	}
}

func TestFindUV(t *testing.T) {
	home := t.TempDir()
	put(t, home, map[string]string{".local/bin/uv": "#!/bin/sh\n"})
	if err := os.Chmod(filepath.Join(home, ".local/bin/uv"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(d *Deps) { d.UV, d.Env = "", []string{"PATH=/nowhere", "HOME=" + home} })
	if got, err := r.uv(); err != nil || got != filepath.Join(home, ".local/bin/uv") {
		t.Errorf("%s, %v", got, err)
	}
	r = newRig(t, func(d *Deps) { d.UV = "/nowhere/uv" })
	_, _, err := r.Resolve(t.Context(), packages("x"))
	var e *Error
	if !errors.As(err, &e) || e.Kind != NoUV || !strings.Contains(err.Error(), "uv.path") {
		t.Errorf("error %v", err)
	}
}

func TestPyproject(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"without flytekit": {"[project]\nname='p'\nversion='1'\ndependencies=['pandas']", "extra\nflytekit==1.16.31\n"},
		"with flytekit":    {"[project]\nname='p'\nversion='1'\ndependencies=['Flytekit[x]>=1.10 ; python_version>\"3\"']", "extra\n"},
		"a plug-in only":   {"[project]\nname='p'\nversion='1'\ndependencies=['flytekitplugins-spark']", "extra\nflytekit==1.16.31\n"},
		"of poetry":        {"[tool.poetry]\nname='p'", "no [project] table"},
		"dynamic":          {"[project]\nname='p'\ndynamic=['version', 'dependencies']", "are dynamic"},
		"of a workspace":   {"[project]\nname='p'\ndependencies=['q']\n[tool.uv.sources]\nq={workspace=true}", "takes [q] from directories"},
		"of a path":        {"[project]\nname='p'\ndependencies=['q']\n[tool.uv.sources]\nq=[{path='x', editable=true, marker='x'}]", "takes [q] from directories"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			dir := t.TempDir()
			put(t, dir, map[string]string{"pyproject.toml": tt.text})
			req := packages("extra")
			req.Pyproject = filepath.Join(dir, "pyproject.toml")
			_, _, err := r.Resolve(t.Context(), req)
			if got := r.noted("stdin") + fmt.Sprint(err); !strings.Contains(got, tt.want) || err == nil && got != tt.want+"<nil>" {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if args := r.noted("args"); err == nil && (!strings.HasSuffix(args, "/pyproject.toml\n-\n") || strings.Contains(args, dir)) {
				t.Errorf("args %s", args)
			}
		})
	}
}
