package builder

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/store"
)

// makeWheel zips files, whose names are below the archive's root, into a wheel.
func makeWheel(t *testing.T, name, version string, files map[string]string) (filename string, data []byte) {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	all := map[string]string{
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	for n, c := range files {
		all[n] = c
	}
	var names []string
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	record := ""
	add := func(n, content string) {
		f, err := z.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, content)
	}
	for _, n := range names {
		add(n, all[n])
		sum := sha256.Sum256([]byte(all[n]))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", n, base64.RawURLEncoding.EncodeToString(sum[:]), len(all[n]))
	}
	if _, own := files[info+"RECORD"]; !own {
		add(info+"RECORD", record+info+"RECORD,,\n")
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return name + "-" + version + "-py3-none-any.whl", buf.Bytes()
}

// wheelhouse serves wheels.
type wheelhouse struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	asked  map[string]int
	before func(filename string) // called before a file is served
}

func newWheelhouse(t *testing.T) *wheelhouse {
	h := &wheelhouse{files: map[string][]byte{}, asked: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		h.mu.Lock()
		data, ok := h.files[name]
		h.asked[name]++
		before := h.before
		h.mu.Unlock()
		if before != nil {
			before(name)
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(h.Close)
	return h
}

// add puts a wheel up and returns it as a lock would have it.
func (h *wheelhouse) add(t *testing.T, name, version string, files map[string]string) lockfile.Artifact {
	filename, data := makeWheel(t, name, version, files)
	h.mu.Lock()
	h.files[filename] = data
	h.mu.Unlock()
	sum := sha256.Sum256(data)
	return lockfile.Artifact{Name: name, Version: version, Filename: filename, URL: h.URL + "/" + filename,
		Hash: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(data))}
}

// remove takes a wheel down. A request of a build that has ended may still be under way.
func (h *wheelhouse) remove(filename string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.files, filename)
}

// some puts n wheels up.
func (h *wheelhouse) some(t *testing.T, n int) []lockfile.Artifact {
	var out []lockfile.Artifact
	for i := range n {
		name := fmt.Sprintf("pkg%02d", i)
		out = append(out, h.add(t, name, "1.0", map[string]string{
			name + "/__init__.py":                    strings.Repeat(fmt.Sprintf("value_%d = %d\n", i, i*i), 200*(i+1)),
			name + "-1.0.dist-info/entry_points.txt": "[console_scripts]\n" + name + " = " + name + ":main\n",
		}))
	}
	return out
}

func newStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newBuilder(s *store.Store) *Builder {
	log := slog.New(slog.DiscardHandler)
	c := index.NewClient(index.Deps{HTTP: &http.Client{}, Dir: s.Wheels(), Tmp: s.Tmp(), Retries: -1, Log: log})
	return New(Deps{Index: c, Store: s, Parallel: 2, Log: log})
}

// testBase is a small image of Docker's media types, and what is said to be in it.
func testBase(t *testing.T) (v1.Image, base.Info) {
	t.Helper()
	layer, err := random.Layer(2000, types.DockerLayer, random.WithSource(rand.NewSource(1)))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux",
		Config: v1.Config{Env: []string{"PATH=/usr/bin"}, Cmd: []string{"python3"}, Labels: map[string]string{"kept": "yes"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err == nil {
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "base"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	dir := base.Entry{Mode: fs.ModeDir | 0o755}
	return img, base.Info{
		Ref: "base:1", From: "registry", Digest: digest.String(), Platform: "linux/amd64", Layers: 1,
		Python: &base.Python{Path: "/usr/bin/python3.11", Link: "/usr/bin/python3", Version: "3.11.2"},
		Libc:   pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}, Env: []string{"PATH=/usr/bin"}, Cmd: []string{"python3"}, HasCA: true,
		Files: map[string]base.Entry{
			"/etc": dir, "/home": dir, "/root": {Mode: fs.ModeDir | 0o700}, "/etc/skel": dir,
			"/etc/passwd": {Mode: 0o644, Content: []byte("root:x:0:0:root:/root:/bin/bash\n")},
			"/etc/group":  {Mode: 0o644, Content: []byte("root:x:0:\n")},
		},
	}
}

func makePlan(t *testing.T, info base.Info, artifacts []lockfile.Artifact) *plan.Plan {
	t.Helper()
	spec, err := imagespec.ParseKwargs([]byte(`{"requirements": "uv.lock"}`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(plan.Input{Spec: spec, Name: "app:tag", Tag: "tag", ID: "id", Base: info, Artifacts: artifacts})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tarEntry is what a layer says of a path.
type tarEntry struct {
	tar.Header
	data string
}

func readLayer(t *testing.T, l v1.Layer) map[string]tarEntry {
	t.Helper()
	rc, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	out := map[string]tarEntry{}
	r := tar.NewReader(rc)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := "/" + strings.TrimSuffix(h.Name, "/")
		if _, twice := out[name]; twice {
			t.Errorf("%s appears twice in a layer", name)
		}
		out[name] = tarEntry{*h, string(data)}
	}
}
