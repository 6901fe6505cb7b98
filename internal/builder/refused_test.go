package builder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// A wheel that is refused leaves nothing behind, wherever on its way to a layer it is found out: when it is opened, when its files
// are planned, or when half of its layer is written. That each of many hostile shapes is refused is proved in package wheel.
func TestRefusedWheelsLeaveNothing(t *testing.T) {
	h := newWheelhouse(t)
	img, info := testBase(t)
	long := strings.Repeat("honest = 1\n", 20000)
	add := func(files map[string]string, change func([]byte) []byte) lockfile.Artifact {
		filename, data := makeWheel(t, "evil", "1.0", files)
		data = change(data)
		h.mu.Lock()
		h.files[filename] = data
		h.mu.Unlock()
		sum := sha256.Sum256(data)
		return lockfile.Artifact{Name: "evil", Version: "1.0", Filename: filename, URL: h.URL + "/" + filename, Hash: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(data))}
	}
	same := func(b []byte) []byte { return b }
	for name, c := range map[string]struct {
		files  map[string]string
		change func([]byte) []byte
		want   string
	}{
		"leaves the tree":   {map[string]string{"../../etc/cron.d/x": "x"}, same, `component ".."`},
		"absolute":          {map[string]string{"/etc/passwd": "x"}, same, "absolute"},
		"whiteout":          {map[string]string{"evil/.wh.json": "x"}, same, ".wh."},
		"cut":               {map[string]string{"evil/a.py": long}, func(b []byte) []byte { return b[:len(b)-30] }, "evil-1.0"},
		"something follows": {map[string]string{"evil/a.py": long}, func(b []byte) []byte { return append(b, "tail"...) }, "follow the end"},
		"the interpreter":   {map[string]string{"evil-1.0.data/scripts/python3": "#!python\n"}, same, "interpreter"},
		"late damage": {map[string]string{"evil/a.py": long, "evil/z.py": long + "z"}, func(b []byte) []byte { // the stream of the last file, and no header
			at := bytes.LastIndex(b, []byte("evil/z.py")) // in the central directory
			at = bytes.LastIndex(b[:at], []byte("evil/z.py")) + len("evil/z.py") + 60
			b[at] ^= 0xff
			return b
		}, "evil/z.py"},
	} {
		t.Run(name, func(t *testing.T) {
			evil := add(c.files, c.change)
			st := newStore(t, t.TempDir())
			b := newBuilder(st)
			p := makePlan(t, info, []lockfile.Artifact{evil})
			before := leftBehind(t, st.Wheels())
			_, _, err := b.Build(t.Context(), p, img, progress.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v says nothing of %q", err, c.want)
			}
			for _, l := range p.Layers {
				digest, _, _, made := b.Existing(l.Key)
				if made && len(l.Packages) > 0 {
					t.Errorf("a layer is kept: %s", l.Title)
				}
				before["blobs/sha256/"+strings.TrimPrefix(digest, "sha256:")] = true // one without packages may be
			}
			for path := range leftBehind(t, st.Wheels()) {
				if !before[path] {
					t.Errorf("%s was left behind", path)
				}
			}
		})
	}
}

// leftBehind lists the files of a store, but for downloads, which are kept as they came.
func leftBehind(t *testing.T, wheels string) map[string]bool {
	t.Helper()
	files := map[string]bool{}
	root := filepath.Dir(wheels)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == wheels {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err == nil && d.Type().IsRegular() {
			files[rel] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
