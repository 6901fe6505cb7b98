package resolve

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

var bookworm = pypa.Environment{Python: "3.12.7", OS: "linux", Arch: "amd64", Libc: pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}}

// memory is a Cache.
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (m *memory) Resolved(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.m[key]
	return b, ok
}

func (m *memory) PutResolved(key string, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[key] = b
	return nil
}

// rig is a Resolver whose uv is a script that notes what it gets in dir: args, env, stdin, and how often it ran.
type rig struct {
	*Resolver
	t     *testing.T
	dir   string
	cache *memory
	log   strings.Builder
	now   time.Time
}

const lock = "lock-version = \"1.0\"\ncreated-by = \"uv\"\n"

func newRig(t *testing.T, change func(*Deps)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), cache: &memory{m: map[string][]byte{}}, now: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)}
	d := Deps{
		UV: filepath.Join(r.dir, "uv"), Env: []string{"PATH=/usr/bin:/bin"}, Tmp: t.TempDir(), Cache: r.cache,
		Now: func() time.Time { return r.now },
		Log: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&d)
	}
	r.Resolver = New(d)
	r.script("cat <<'E'\n" + lock + "E\n")
	return r
}

// script sets what uv does after it has noted what it got.
func (r *rig) script(body string) {
	r.t.Helper()
	note := "#!/bin/sh\ncd " + r.dir + "\necho x >>runs\nprintf '%s\\n' \"$@\" >args\nenv >env\ncat >stdin\n"
	// Written beside and renamed: a script that is being run must not be written to.
	tmp := filepath.Join(r.dir, "uv.new")
	if err := os.WriteFile(tmp, []byte(note+body), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(r.dir, "uv")); err != nil {
		r.t.Fatal(err)
	}
}

// noted returns what uv noted.
func (r *rig) noted(name string) string {
	b, _ := os.ReadFile(filepath.Join(r.dir, name))
	return string(b)
}

func (r *rig) runs() int { return strings.Count(r.noted("runs"), "x") }

func (r *rig) resolve(req Request) (string, time.Time) {
	r.t.Helper()
	b, at, err := r.Resolve(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b), at
}

func packages(names ...string) Request {
	return Request{Environment: bookworm, Packages: names, Flytekit: "1.16.31"}
}

// put writes files below dir.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
