package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// checkBlobs checks that every file below a final name in the state directory is whole.
func checkBlobs(t *testing.T, state string) {
	t.Helper()
	for _, dir := range []string{"blobs/sha256", "wheels"} {
		err := filepath.WalkDir(filepath.Join(state, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return ignoreMissing(err)
			}
			want, _, _ := strings.Cut(d.Name(), ".")
			if got := fileSum(t, path); got != want {
				return fmt.Errorf("%s is not what its name says: its sha256 is %s", path, got)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// inLayout returns the image that the state directory's layout has under a digest.
func inLayout(t *testing.T, state, digest string) v1.Image {
	t.Helper()
	p, err := layout.FromPath(state)
	if err != nil {
		t.Fatal(err)
	}
	h, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	img, err := p.Image(h)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// skopeoReads has skopeo copy an image out of the state directory's layout: it checks every digest on the way.
// It is given a view of the layout with this image alone, because skopeo's syntax for a name in a layout does not
// allow all that flytekit's tags may hold.
func skopeoReads(t *testing.T, state, digest string) {
	t.Helper()
	need(t, varSkopeo)
	view := t.TempDir()
	var index struct {
		SchemaVersion int               `json:"schemaVersion"`
		Manifests     []json.RawMessage `json:"manifests"`
	}
	b, err := os.ReadFile(filepath.Join(state, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	one := index.Manifests[:0:0]
	for _, m := range index.Manifests {
		if strings.Contains(string(m), digest) {
			one = append(one, m)
			break
		}
	}
	if len(one) == 0 {
		t.Fatalf("index.json does not name %s", digest)
	}
	index.Manifests = one
	if b, err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"index.json": b, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(view, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(state, "blobs"), filepath.Join(view, "blobs")); err != nil {
		t.Fatal(err)
	}
	command{}.run(t, os.Getenv(varSkopeo), "copy", "--quiet", "oci:"+view, "dir:"+t.TempDir())
}
