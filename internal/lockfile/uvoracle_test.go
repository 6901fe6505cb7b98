package lockfile

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// TestSelectAsUV has the real uv sync every fixture for every environment, and compares the wheels that it asks for with
// those that Select chooses. Two stand-ins make that quick and independent of the network: a Python that says it is the
// environment's (testdata/interpreter.py), and an index that makes up an empty wheel for any name.
// Each fixture has its turn with a third of the environments; IMGSPECD_TEST_FULL has them all.
func TestSelectAsUV(t *testing.T) {
	uv := findUV(t)
	all := os.Getenv("IMGSPECD_TEST_FULL") != ""
	for n, name := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := parseFixture(t, name)
			for i, env := range environments() {
				if !all && (i+n)%3 != 0 {
					continue
				}
				t.Run(env.String(), func(t *testing.T) { compareWithUV(t, uv, name, u, env) })
			}
		})
	}
}

func findUV(t testing.TB) string {
	t.Helper()
	uv := os.Getenv("IMGSPECD_TEST_UV")
	if uv == "" {
		uv, _ = exec.LookPath("uv")
	}
	if uv == "" {
		t.Skip("uv is not on PATH and IMGSPECD_TEST_UV does not name it")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not on PATH")
	}
	return uv
}

func compareWithUV(t *testing.T, uv, fixture string, u *UV, env pypa.Environment) {
	o := newOracle(t, uv, fixture, env)
	artifacts, err := u.Select(env, Choice{})
	if err != nil {
		if out, uvErr := o.sync("--dry-run"); uvErr == nil {
			t.Errorf("Select fails with %v, uv does not:\n%s", err, out)
		}
		return
	}
	var want, names, leaveOut []string
	refused := false // --no-build makes uv refuse it; what is editable it builds nevertheless
	for _, a := range artifacts {
		names = append(names, a.Name)
		if a.Sdist {
			leaveOut = append(leaveOut, "--no-install-package", a.Name)
			refused = refused || a.URL != "" || !a.Source.Editable
			continue
		}
		want = append(want, a.Filename)
	}
	if len(leaveOut) > 0 {
		out, err := o.sync("--dry-run")
		if err != nil || !slices.Equal(installed(out), names) {
			t.Errorf("Select has %v, uv has %v (error %v)", names, installed(out), err)
		}
		if out, err := o.sync("--dry-run", "--no-build"); (err != nil) != refused {
			t.Errorf("Select has to build %v; uv says, when it may not:\n%s", leaveOut, out)
		}
	}
	out, err := o.sync(leaveOut...)
	if err != nil {
		t.Fatalf("uv sync: %v\n%s", err, out)
	}
	slices.Sort(want)
	if got := o.requests(); !slices.Equal(got, want) {
		t.Errorf("Select chooses\n %s\nuv chooses\n %s", strings.Join(want, "\n "), strings.Join(got, "\n "))
	}
}

var installLine = regexp.MustCompile(`(?m)^ \+ ([a-z0-9-]+)`)

// installed returns the names that uv says it installs, sorted.
func installed(out string) []string {
	var names []string
	for _, m := range installLine.FindAllStringSubmatch(out, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// oracle is uv with a project to sync for one environment.
type oracle struct {
	uv, dir, python string
	env             []string

	mu   sync.Mutex
	seen []string
}

var hashOrSize = regexp.MustCompile(`, (hash = "[^"]*"|size = \d+)`)

func newOracle(t *testing.T, uv, fixture string, env pypa.Environment) *oracle {
	t.Helper()
	return newOracleOf(t, uv, filepath.Join("testdata/uv", fixture), "uv.lock", env)
}

// newOracleOf takes the project of a directory whose lock is the named file.
func newOracleOf(t *testing.T, uv, fixture, lockName string, env pypa.Environment) *oracle {
	t.Helper()
	o := &oracle{uv: uv, dir: filepath.Join(t.TempDir(), "project"), python: filepath.Join(t.TempDir(), "python")}
	server := httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(server.Close)
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.CopyFS(o.dir, os.DirFS(fixture)))
	lock := filepath.Join(o.dir, lockName)
	data, err := os.ReadFile(lock)
	check(err)
	data = rehash(hashOrSize.ReplaceAll(data, nil))
	data = []byte(strings.ReplaceAll(string(data), "https://files.pythonhosted.org", server.URL))
	check(os.WriteFile(lock, data, 0o644))
	script, err := os.ReadFile("testdata/interpreter.py")
	check(err)
	check(os.WriteFile(o.python, script, 0o755))
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[env.Arch]
	fake, err := json.Marshal(map[string]any{"version": env.Python, "machine": machine,
		"libc": []any{env.Libc.Kind, env.Libc.Major, env.Libc.Minor}})
	check(err)
	o.env = append(os.Environ(), "FAKE_PYTHON="+string(fake), "UV_CACHE_DIR="+t.TempDir(), "UV_NO_CONFIG=1", "NO_COLOR=1",
		"UV_PYTHON_DOWNLOADS=never", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "VIRTUAL_ENV=", "UV_LINK_MODE=copy")
	return o
}

func (o *oracle) sync(args ...string) (string, error) {
	return o.run(append([]string{"sync", "--frozen", "--no-dev", "--no-install-project", "--python", o.python}, args...)...)
}

func (o *oracle) run(args ...string) (string, error) {
	cmd := exec.Command(o.uv, args...)
	cmd.Dir, cmd.Env = o.dir, o.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// requests returns the names of the wheels that were asked for, sorted.
func (o *oracle) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.Sort(o.seen)
	return slices.Compact(o.seen)
}

// serve answers any wheel's URL with a wheel that holds nothing but its metadata.
func (o *oracle) serve(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	wheel := emptyWheel(name)
	if wheel == nil {
		http.NotFound(w, r)
		return
	}
	o.mu.Lock()
	o.seen = append(o.seen, name)
	o.mu.Unlock()
	_, _ = w.Write(wheel) // the client sees a short answer
}

// emptyWheel returns a wheel of a name, always the same; nil where it is not a wheel's name.
func emptyWheel(name string) []byte {
	wheel, err := pypa.ParseWheelName(name)
	if err != nil {
		return nil
	}
	info := wheel.Name + "-" + wheel.Version + ".dist-info/"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, file := range [][2]string{
		{"METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", wheel.Name, wheel.Version)},
		{"WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"RECORD", info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		entry, err := z.Create(info + file[0])
		if err != nil {
			return nil
		}
		if _, err := entry.Write([]byte(file[1])); err != nil {
			return nil
		}
	}
	if err := z.Close(); err != nil {
		return nil
	}
	return b.Bytes()
}

// pylockHash is a wheel of a pylock.toml with its hash, without which uv takes none.
var pylockHash = regexp.MustCompile(`url = "[^"]*/([^"/]+\.whl)"[^{}]*hashes = \{ sha256 = "([0-9a-f]{64})"`)

// rehash gives the wheels of a pylock.toml the hashes of the made-up ones.
func rehash(lock []byte) []byte {
	return pylockHash.ReplaceAllFunc(lock, func(entry []byte) []byte {
		m := pylockHash.FindSubmatch(entry)
		name, err := url.PathUnescape(string(m[1]))
		if err != nil {
			return entry
		}
		return bytes.Replace(entry, m[2], fmt.Appendf(nil, "%x", sha256.Sum256(emptyWheel(name))), 1)
	})
}
