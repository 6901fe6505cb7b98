package wheel_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Packages of PyPI that hold what installers treat in a way of their own: launchers,
// data, scripts with a placeholder, the launchers of pip. All that they need is
// published for every platform.
var published = []string{"httpx==0.28.1", "setuptools==80.9.0", "rich==14.1.0", "jupyterlab-widgets==3.0.15", "pip==25.2", "docutils==0.18.1"}

// TestLikeUV installs wheels with the real uv, by "uv sync" of a project, and holds
// what it made against what our layers hold: paths, modes, contents. Nothing is
// left out but what a venv holds without packages.
func TestLikeUV(t *testing.T) {
	uv := findUV(t)
	dir := t.TempDir()
	// Over HTTP: of a wheel found in a directory uv keeps the time of change, in uv_cache.json.
	index := httptest.NewServer(http.FileServer(http.Dir(madeWheels(t))))
	defer index.Close()
	if err := syncProject(t, uv, dir, index.URL, published); err != nil {
		t.Logf("without packages of PyPI: %v", err)
		if err := syncProject(t, uv, dir, index.URL, nil); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, uv, dir, lockedWheels(t, dir))
}

// TestLikeUVByHand does the same for all the wheels in a directory of the tester's.
func TestLikeUVByHand(t *testing.T) {
	wheels := os.Getenv("IMGSPECD_TEST_WHEELS")
	if wheels == "" {
		t.Skip("IMGSPECD_TEST_WHEELS names no directory")
	}
	uv := findUV(t)
	dir := t.TempDir()
	index := httptest.NewServer(http.FileServer(http.Dir(wheels)))
	defer index.Close()
	args := []string{"pip", "install", "--no-deps", "--no-index", "--find-links", index.URL, "--link-mode", "copy", "--python", filepath.Join(dir, ".venv")}
	for _, path := range listWheels(t, wheels) {
		parts := strings.Split(filepath.Base(path), "-")
		args = append(args, parts[0]+"=="+parts[1])
	}
	for _, a := range [][]string{{"venv", ".venv"}, args} {
		if err := run(t, dir, uv, a...); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, uv, dir, listWheels(t, wheels))
}

func compare(t *testing.T, uv, dir string, wheels []string) {
	t.Helper()
	venv, err := filepath.EvalSymlinks(filepath.Join(dir, ".venv"))
	if err != nil {
		t.Fatal(err)
	}
	want := tree(t, venv)
	delete(want, ".lock") // uv's own, while it works on the environment
	for name := range tree(t, emptyVenv(t, uv)) {
		delete(want, name)
	}
	got := map[string]installed{}
	for _, path := range wheels {
		var b bytes.Buffer
		r, err := packAt(&b, path, schemeOf(t, venv), layer.Options{Workers: 2})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, m := range r.Mismatched {
			t.Logf("%s: RECORD is wrong about %v", filepath.Base(path), m)
		}
		for name, f := range unpack(t, &b) {
			if rel, ok := strings.CutPrefix(name, venv+"/"); ok {
				got[rel] = f
			} else {
				t.Errorf("%s is outside of the environment", name)
			}
		}
	}
	report(t, got, want)
	t.Logf("%d wheels, %d files and empty directories", len(wheels), len(want))
}

// madeWheels is a directory with wheels that hold all that wheels may hold.
func madeWheels(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"demo-1.0-py3-none-any.whl":           archive(t, everything()),
		"damaged_record-2.0-py3-none-any.whl": archive(t, damagedRecord()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// damagedRecord is a wheel whose RECORD lists a file outside, misses one, and lists one by another spelling.
func damagedRecord() []member {
	return []member{
		{name: "damaged.py", text: "x = 1\n"},
		{name: "missing.py", text: "y = 1\n"},
		{name: "spelled.py", text: "z = 1\n"},
		{name: "damaged_record-2.0.dist-info/METADATA", text: "Metadata-Version: 2.1\nName: damaged.record\nVersion: 2.0\n"},
		{name: "damaged_record-2.0.dist-info/WHEEL", text: wheelFile},
		{name: "damaged_record-2.0.dist-info/RECORD.jws", text: "{}"},
		{name: "damaged_record-2.0.dist-info/RECORD", text: "/damaged.py,sha256=AAAA,6\n../../../etc/passwd,,\n./spelled.py,,6\nspelled.py,,6\n" +
			"damaged_record-2.0.dist-info/METADATA,,\n"},
	}
}

type installed struct {
	mode fs.FileMode
	sum  string
	text string // of small files, for the report
}

func report(t *testing.T, got, want map[string]installed) {
	t.Helper()
	var names []string
	for name := range want {
		names = append(names, name)
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		g, inGot := got[name]
		w, inWant := want[name]
		switch {
		case !inGot:
			t.Errorf("%s: uv installs it (%v), we do not", name, w.mode)
		case !inWant:
			t.Errorf("%s: we install it (%v), uv does not", name, g.mode)
		case g.mode != w.mode:
			t.Errorf("%s: mode %v, uv %v", name, g.mode, w.mode)
		case g.sum != w.sum:
			t.Errorf("%s: content differs\n--- ours\n%s\n--- uv's\n%s", name, g.text, w.text)
		}
	}
}

func findUV(t *testing.T) string {
	t.Helper()
	if uv := os.Getenv("IMGSPECD_TEST_UV"); uv != "" {
		return uv
	}
	uv, err := exec.LookPath("uv")
	if err != nil {
		t.Skip("no uv: neither IMGSPECD_TEST_UV nor PATH has one")
	}
	return uv
}

func listWheels(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// syncProject locks and syncs a project.
func syncProject(t *testing.T, uv, dir, index string, deps []string) error {
	t.Helper()
	deps = append([]string{"demo==1.0", "damaged-record==2.0"}, deps...)
	project := fmt.Sprintf("[project]\nname = \"oracle\"\nversion = \"0\"\nrequires-python = \">=3.11\"\ndependencies = [\"%s\"]\n"+
		"[tool.uv]\npackage = false\nfind-links = [%q]\nno-index = %t\nenvironments = [\"sys_platform == 'linux'\"]\n",
		strings.Join(deps, `", "`), index, len(deps) == 2)
	if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(project), 0o644); err != nil {
		return err
	}
	return run(t, dir, uv, "sync", "--no-dev", "--no-install-project", "--link-mode", "copy")
}

var wheelURL = regexp.MustCompile(`"(https?://[^"]*/([^/"]+-none-any\.whl))"`)

// lockedWheels downloads what the lock says, where it is for any platform.
func lockedWheels(t *testing.T, dir string) []string {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(dir, "uv.lock"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Minute}
	var paths []string
	for _, m := range wheelURL.FindAllStringSubmatch(string(lock), -1) {
		resp, err := client.Get(m[1])
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("get %s: %s, %v", m[1], resp.Status, err)
		}
		path := filepath.Join(dir, m[2])
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func emptyVenv(t *testing.T, uv string) string {
	t.Helper()
	dir := t.TempDir()
	if err := run(t, dir, uv, "venv", "--offline", ".venv"); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, ".venv")
}

func run(t *testing.T, dir, name string, args ...string) error {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "UV_CACHE_DIR="+filepath.Join(t.TempDir(), "cache"), "VIRTUAL_ENV=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

func schemeOf(t *testing.T, venv string) wheel.Scheme {
	t.Helper()
	libs, err := filepath.Glob(filepath.Join(venv, "lib", "python3.*"))
	if err != nil || len(libs) != 1 {
		t.Fatalf("find the venv's library: %v, %v", libs, err)
	}
	return wheel.Scheme{
		Prefix:       venv,
		SitePackages: filepath.Join(libs[0], "site-packages"),
		Scripts:      filepath.Join(venv, "bin"),
		Headers:      filepath.Join(venv, "include", "site", filepath.Base(libs[0])),
		Interpreter:  filepath.Join(venv, "bin", "python"),
	}
}

// tree reads a directory; of directories only those that are empty are told, since
// the others follow from their files.
func tree(t *testing.T, root string) map[string]installed {
	t.Helper()
	files := map[string]installed{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			list, err := os.ReadDir(path)
			if err != nil || len(list) > 0 {
				return err
			}
			files[rel] = installed{mode: info.Mode()}
		case d.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files[rel] = content(info.Mode(), data)
		default:
			files[rel] = installed{mode: info.Mode()}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func content(mode fs.FileMode, data []byte) installed {
	sum := sha256.Sum256(data)
	return installed{mode: mode, sum: hex.EncodeToString(sum[:]), text: string(data[:min(len(data), 4000)])}
}

// unpack reads a layer back.
func unpack(t *testing.T, r io.Reader) map[string]installed {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]installed{}
	tr := tar.NewReader(z)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		name := "/" + strings.TrimSuffix(h.Name, "/")
		if h.Typeflag == tar.TypeDir {
			files[name] = installed{mode: h.FileInfo().Mode()}
		} else {
			files[name] = content(h.FileInfo().Mode(), data)
		}
	}
}
