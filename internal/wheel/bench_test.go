package wheel_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

var scheme = wheel.Scheme{
	Prefix:       "/root/.venv",
	SitePackages: "/root/.venv/lib/python3.11/site-packages",
	Scripts:      "/root/.venv/bin",
	Headers:      "/root/.venv/include/site/python3.11",
	Interpreter:  "/root/.venv/bin/python",
}

// packAt writes all that a wheel installs as one layer: the sequence that a builder follows.
func packAt(out io.Writer, path string, scheme wheel.Scheme, o layer.Options) (layer.Result, error) {
	w, err := wheel.Open(path, filepath.Base(path), wheel.DefaultLimits())
	if err != nil {
		return layer.Result{}, err
	}
	defer w.Close()
	return pack(out, w, scheme, o)
}

func packBytes(out io.Writer, data []byte, filename string, l wheel.Limits, o layer.Options) (layer.Result, error) {
	w, err := wheel.New(bytes.NewReader(data), int64(len(data)), filename, l)
	if err != nil {
		return layer.Result{}, err
	}
	return pack(out, w, scheme, o)
}

func pack(out io.Writer, w *wheel.Wheel, scheme wheel.Scheme, o layer.Options) (layer.Result, error) {
	files, err := w.Plan(scheme, wheel.Options{Requested: true})
	if err != nil {
		return layer.Result{}, err
	}
	l := layer.NewWriter(out, o)
	for _, f := range files {
		if err := put(l, w, f); err != nil {
			_, _ = l.Close()
			return layer.Result{}, err
		}
	}
	return l.Close()
}

func put(l *layer.Writer, w *wheel.Wheel, f wheel.File) error {
	h := layer.Header{Path: f.Path, Mode: f.Mode, UID: 1000, GID: 1000, Size: f.Size}
	switch {
	case f.Mode.IsDir():
		return l.Dir(h)
	case f.Data != nil:
		return l.File(h, f.Data)
	}
	raw, err := w.Raw(f)
	if err != nil {
		return err
	}
	if f.Entry.Method == wheel.Stored {
		return l.Store(h, raw, f.CRC, f.Hash)
	}
	return l.Deflate(h, raw, f.Entry.CompressedSize, f.CRC, f.Hash)
}

// BenchmarkLayer packs the wheel that IMGSPECD_BENCH_WHEEL names. MB/s is of
// installed bytes; overhead is the layer's size over the wheel's.
func BenchmarkLayer(b *testing.B) {
	path := os.Getenv("IMGSPECD_BENCH_WHEEL")
	if path == "" {
		b.Skip("IMGSPECD_BENCH_WHEEL names no wheel")
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2, 4} {
		b.Run("workers="+strconv.Itoa(workers), func(b *testing.B) {
			var r layer.Result
			for b.Loop() {
				if r, err = packAt(io.Discard, path, scheme, layer.Options{Workers: workers, Parents: func(string) layer.Header { return layer.Header{Mode: 0o755} }}); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(r.Installed)
			b.ReportMetric(100*(float64(r.Size)/float64(info.Size())-1), "%overhead")
		})
	}
}
