package layer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

// What a layer takes away is an empty file with a name of its own (OCI image-spec, layer.md), below directories as they are.
func TestGone(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf, Options{Parents: func(string) Header { return Header{Mode: 0o755, UID: 7} }})
	if err := errors.Join(w.Gone("/opt/lib/six.py"), w.Gone("/opt/lib/idna"), w.Gone("/top")); err != nil {
		t.Fatal(err)
	}
	res, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir && h.Uid != 7 || h.Size != 0 {
			t.Errorf("%+v", h)
		}
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "opt/ opt/lib/ opt/lib/.wh.six.py opt/lib/.wh.idna .wh.top" {
		t.Errorf("entries %s", got)
	}
	if res.Files != 0 {
		t.Errorf("%d files counted", res.Files)
	}
	for want, do := range map[string]func(w *Writer) error{
		"it is in this layer":   func(w *Writer) error { return errors.Join(w.File(Header{Path: "/a"}, nil), w.Gone("/a")) },
		"is not absolute":       func(w *Writer) error { return w.Gone("a") },
		"/a is not a directory": func(w *Writer) error { return errors.Join(w.File(Header{Path: "/a"}, nil), w.Gone("/a/b")) },
	} {
		w := NewWriter(io.Discard, Options{})
		err := do(w)
		if _, closed := w.Close(); err == nil || closed == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v says nothing of %q", err, want)
		}
	}
}
