package wheel_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// What the layer of the test wheel is. These may change only together with the
// format version in the layer keys: equal keys promise equal bytes, for ever.
const (
	goldenDiffID = "sha256:e91f98f39d48f5ce3cfff883c5d6e451bdebafac05110f886a8a52780eb51c50"
	goldenDigest = "sha256:94a8f93892baf49aa6bd496b5991de57f0367e86095f8a28158a59195b3f397d" // of everything(), all entries stored
)

func parents(string) layer.Header { return layer.Header{Mode: 0o755, UID: 1000, GID: 1000} }

// allStored takes the compressor of the test out of the golden digest.
func allStored(all []member) []member {
	for i := range all {
		all[i].stored = true
	}
	return all
}

func TestGolden(t *testing.T) {
	all := allStored(everything())
	for _, workers := range []int{0, 2, 7} {
		r, err := packBytes(io.Discard, archive(t, all), filename, wheel.DefaultLimits(), layer.Options{Parents: parents, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if r.DiffID != goldenDiffID || r.Digest != goldenDigest {
			t.Errorf("%d workers: diffID %s, digest %s", workers, r.DiffID, r.Digest)
		}
		if len(r.Mismatched) != 0 {
			t.Errorf("mismatched: %v", r.Mismatched)
		}
	}
}

// The order of entries in the archive, which is the build tool's whim, does not show.
func TestShuffledArchive(t *testing.T) {
	want, err := packBytes(io.Discard, archive(t, everything()), filename, wheel.DefaultLimits(), layer.Options{Parents: parents})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		all := everything()
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got, err := packBytes(io.Discard, archive(t, all), filename, wheel.DefaultLimits(), layer.Options{Parents: parents, Workers: 1 + r.IntN(4)})
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != want.Digest || got.DiffID != want.DiffID {
			t.Fatalf("digest %s, not %s", got.Digest, want.Digest)
		}
	}
}

// The readers that stand for all others: gzip and GNU tar.
func TestSystemToolsReadIt(t *testing.T) {
	for _, tool := range []string{"gzip", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "layer.tar.gz")
	var b bytes.Buffer
	if _, err := packBytes(&b, archive(t, everything()), filename, wheel.DefaultLimits(), layer.Options{Parents: parents}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gzip", "-tv", path).CombinedOutput(); err != nil {
		t.Errorf("gzip: %v\n%s", err, out)
	}
	cmd := exec.Command("tar", "--no-same-owner", "--no-same-permissions", "-xzf", path, "-C", dir)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("tar: %v\n%s", err, out)
	}
	ours := unpack(t, &b)
	for name, f := range tree(t, filepath.Join(dir, "root")) {
		if o := ours["/root/"+name]; o.sum != f.sum || o.mode != f.mode {
			t.Errorf("%s: tar unpacks %v, archive/tar %v", name, f.mode, o.mode)
		}
	}
}

func TestPlanOfDirectURL(t *testing.T) {
	data := archive(t, everything())
	w, err := wheel.New(bytes.NewReader(data), int64(len(data)), filename, wheel.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if w.Name != "demo" || w.Version != "1.0" || w.Metadata.RequiresPython != ">=3.9" {
		t.Errorf("metadata: %s %s %+v", w.Name, w.Version, w.Metadata)
	}
	files, err := w.Plan(scheme, wheel.Options{Direct: &wheel.Direct{URL: "https://example.org/a&b.whl", Hash: "sha256:00"}})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for i, f := range files {
		found[filepath.Base(f.Path)] = string(f.Data)
		if i > 0 && files[i-1].Path >= f.Path {
			t.Errorf("%s stands before %s", files[i-1].Path, f.Path)
		}
	}
	if got, want := found["direct_url.json"], `{"url":"https://example.org/a&b.whl","archive_info":{}}`; got != want {
		t.Errorf("direct_url.json: %s, want %s", got, want)
	}
	if _, ok := found["REQUESTED"]; ok {
		t.Error("REQUESTED is there although nobody requested it")
	}
	if got := found["demo-script"]; got != "#!/root/.venv/bin/python\nprint(1)\n" {
		t.Errorf("demo-script: %q", got)
	}
	if !strings.Contains(found["RECORD"], "demo-1.0.dist-info/direct_url.json,sha256=") {
		t.Error("RECORD does not list direct_url.json")
	}
}

// A venv's lib64 is a link to lib. A wheel that writes through it must not put a
// directory in the link's place.
func TestLib64(t *testing.T) {
	data := archive(t, members(member{name: "demo-1.0.data/data/lib64/demo/x", text: "x"}))
	w, err := wheel.New(bytes.NewReader(data), int64(len(data)), filename, wheel.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	files, err := w.Plan(scheme, wheel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if files[0].Path != "/root/.venv/lib/demo/x" {
		t.Errorf("installed at %s", files[0].Path)
	}
	for _, f := range files {
		if filepath.Base(f.Path) == "RECORD" && !strings.HasPrefix(string(f.Data), "../../../lib64/demo/x,sha256=") {
			t.Errorf("RECORD: %s", f.Data)
		}
	}
}
