package builder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// A file that is no longer what its image was named for makes the build fail, and nothing of it is kept.
func TestCopiedFilesThatChange(t *testing.T) {
	big := strings.Repeat("x = 1\n", 100_000)
	for name, change := range map[string]func(path string) error{
		"same size": func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("x = 2\n", 100_000)), 0o644) },
		"longer":    func(p string) error { return os.WriteFile(p, []byte(big+"y"), 0o644) },
		"shorter":   func(p string) error { return os.WriteFile(p, []byte(big[:100]), 0o644) },
		"empty":     func(p string) error { return os.Truncate(p, 0) },
		"gone":      os.Remove,
		"a pipe":    func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o644)) },
		"a folder":  func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) },
		"empty became full": func(p string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(p), "empty"), []byte("x"), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			forest{"d/a": "a", "d/big": big, "d/empty": "", "d/z": "z"}.plant(t, dir)
			img, info := testBase(t)
			p, err := planOf(t, dir, `"copy": ["d"]`, info)
			if err != nil {
				t.Fatal(err)
			}
			if err := change(filepath.Join(dir, "d", "big")); err != nil {
				t.Fatal(err)
			}
			b := newBuilder(newStore(t, t.TempDir()))
			if _, _, err := b.Build(t.Context(), p, img, progress.Discard); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), dir+"/d/") {
				t.Fatalf("%v", err)
			}
			if _, _, _, ok := b.Existing(p.Layers[len(p.Layers)-1].Key); ok {
				t.Error("the layer is kept")
			}
		})
	}
}

// The layer does not depend on where or when the files were written, nor on how many workers write it.
func TestCopiedFilesMakeTheSameLayerEverywhere(t *testing.T) {
	var digests []string
	for i := range 2 {
		dir := t.TempDir()
		forest{"d/a": "0600 a", "d/sub/big": strings.Repeat("text ", 3<<20), "d/empty": "dir", "d/link": "-> a"}.plant(t, dir)
		img, info := testBase(t)
		p, err := planOf(t, dir, `"copy": ["d"]`, info)
		if err != nil {
			t.Fatal(err)
		}
		b := newBuilder(newStore(t, t.TempDir()))
		b.deps.Parallel = 1 + 3*i
		if _, _, err := b.Build(t.Context(), p, img, progress.Discard); err != nil {
			t.Fatal(err)
		}
		digest, size, _, _ := b.Existing(p.Layers[len(p.Layers)-1].Key)
		digests = append(digests, digest)
		if size > 2<<20 {
			t.Errorf("15 MB of text make a layer of %d bytes", size)
		}
	}
	if digests[0] != digests[1] || digests[0] == "" {
		t.Errorf("%v", digests)
	}
}

// Whatever the size of what is copied, neither memory nor open files grow with it.
func TestCopyingStreams(t *testing.T) {
	dir := t.TempDir()
	var files []plan.File
	sum := sha256.Sum256(nil)
	add := func(name string, size int64) {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err == nil {
			err = errors.Join(f.Truncate(size), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.CopyN(h, zeros{}, size); err != nil {
			t.Fatal(err)
		}
		files = append(files, plan.File{Path: "/root/" + name, Mode: 0o644, From: &plan.Content{Path: path, Size: size, Digest: hex.EncodeToString(h.Sum(sum[:0]))}})
	}
	add("big", 96<<20)
	for i := range 3000 {
		add(fmt.Sprintf("small-%04d", i), 8<<10)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = 200
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }()
	for _, workers := range []int{1, 4} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := layer.NewWriter(io.Discard, layer.Options{Workers: workers})
		var from contents
		err := writeFiles(w, files, &from)
		res, cerr := w.Close()
		from.close()
		if err = errors.Join(err, cerr); err != nil || res.Files != 3001 {
			t.Fatalf("%d files, %v", res.Files, err)
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.Sys) - int64(before.Sys); grown > 32<<20 {
			t.Errorf("%d workers took %d MiB", workers, grown>>20)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What is written is read back, whatever the size.
func TestContentIsReadBack(t *testing.T) {
	dir, files := t.TempDir(), forest{}
	for i, n := range []int{0, 1, 511, 512, 4 << 10, 4<<10 + 1, 64<<10 - 1, 65535, 64 << 10, 200_001} {
		var b bytes.Buffer
		for b.Len() < n {
			fmt.Fprintf(&b, "%d %x\n", b.Len(), sha256.Sum256(b.Bytes()[max(0, b.Len()-9):]))
		}
		files[fmt.Sprintf("d/f%d", i)] = b.String()[:n]
	}
	files.plant(t, dir)
	got, err := ourCopies(t, dir, `"copy": ["d"]`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if want := fmt.Sprintf("-rw-r--r-- 1000:1001 %q -> \"\"", text); got["/root/"+name] != want {
			t.Errorf("%s of %d bytes is not read back", name, len(text))
		}
	}
}
