package layer

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestWriterRefuses(t *testing.T) {
	text := []byte("some text, some text\n")
	raw := deflated(t, text)
	crc := crc32.ChecksumIEEE(text)
	h := Header{Path: "/a/b", Mode: 0o644, Size: int64(len(text))}
	at := func(path string) Header { return Header{Path: path, Mode: 0o644} }
	tests := map[string]func(w *Writer) error{
		`path "a" is not absolute`:       func(w *Writer) error { return w.File(at("a"), nil) },
		`path "/a/../b" is not absolute`: func(w *Writer) error { return w.File(at("/a/../b"), nil) },
		`path "/" is not absolute`:       func(w *Writer) error { return w.Dir(Header{Path: "/", Mode: fs.ModeDir}) },
		"would delete files":             func(w *Writer) error { return w.File(at("/a/.wh.b"), nil) },
		"holds a NUL":                    func(w *Writer) error { return w.File(at("/a\x00"), nil) },
		"empty link target":              func(w *Writer) error { return w.Symlink(at("/a"), "") },
		"negative size":                  func(w *Writer) error { return w.Store(Header{Path: "/a", Size: -1}, nil, 0, "") },
		"/a is not a directory":          func(w *Writer) error { return errors.Join(w.File(at("/a"), nil), w.File(at("/a/b"), nil)) },
		"a directory and something else": func(w *Writer) error { return errors.Join(w.Dir(at("/a")), w.File(at("/a"), nil)) },
		"write /a/b: CRC-32 is":          func(w *Writer) error { return w.Deflate(h, bytes.NewReader(raw), int64(len(raw)), 7, "") },
		"ends 2 bytes before": func(w *Writer) error {
			return w.Deflate(h, bytes.NewReader(append(raw, 1, 2)), int64(len(raw))+2, crc, "")
		},
		"does not end within":                     func(w *Writer) error { return w.Deflate(h, bytes.NewReader(raw), int64(len(raw))-1, crc, "") },
		"1 of 22 bytes are missing":               func(w *Writer) error { return w.Store(Header{Path: "/a", Size: 22}, bytes.NewReader(text), crc, "") },
		"write /a: CRC-32 is":                     func(w *Writer) error { return w.Store(Header{Path: "/a", Size: 5}, bytes.NewReader(text), crc, "") },
		"read entry: " + io.ErrClosedPipe.Error(): func(w *Writer) error { return w.Deflate(h, errReader{io.ErrClosedPipe}, int64(len(raw)), crc, "") },
	}
	for want, do := range tests {
		for _, workers := range []int{1, 3} {
			w := NewWriter(io.Discard, Options{Workers: workers})
			err := do(w)
			_, closed := w.Close()
			if err == nil {
				err = closed // workers find it later
			}
			if err == nil || closed == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d workers: error %v says nothing of %q; Close: %v", workers, err, want, closed)
			}
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestMismatchIsReported(t *testing.T) {
	text := []byte("content")
	wrong := "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	for _, workers := range []int{1, 2} {
		w := NewWriter(io.Discard, Options{Workers: workers})
		for path, want := range map[string]string{"/wrong": wrong, "/right": record(text), "/weak": "md5=xx", "/none": "", "/padded": record(text) + "="} {
			if err := w.Store(Header{Path: path, Size: 7}, bytes.NewReader(text), crc32.ChecksumIEEE(text), want); err != nil {
				t.Fatal(err)
			}
		}
		r, err := w.Close()
		if err != nil || len(r.Mismatched) != 2 {
			t.Fatalf("%v, %v", r.Mismatched, err)
		}
		for _, m := range r.Mismatched {
			if m.Path == "/wrong" && (m.Want != wrong || m.Got != record(text)) || m.Path == "/weak" && m.Got != "" {
				t.Errorf("%+v", m)
			}
		}
	}
}

// An error of the sink, or of a reader whose context has ended, ends the whole
// layer and every goroutine, while all workers are busy.
func TestWriterEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	raw := deflated(t, big)
	crc := crc32.ChecksumIEEE(big)
	full := errors.New("disk full")
	for name, test := range map[string]struct {
		sink io.Writer
		want error
	}{
		"sink":    {failingWriter{full}, full},
		"context": {io.Discard, context.Canceled},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		w := NewWriter(test.sink, Options{Workers: 3})
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			if i == 5 && name == "context" {
				cancel()
			}
			path := "/f" + strings.Repeat("x", i)
			err = w.Deflate(Header{Path: path, Size: int64(len(big))}, ctxReader{ctx, bytes.NewReader(raw)}, int64(len(raw)), crc, "")
		}
		if _, err := w.Close(); !errors.Is(err, test.want) {
			t.Errorf("%s: Close says %v", name, err)
		}
		if _, err := w.Close(); !errors.Is(err, test.want) {
			t.Errorf("%s: Close says %v the second time", name, err)
		}
		cancel()
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 100 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// A file over 8 GiB does not fit a USTAR field, nor 4 GiB the size that gzip keeps.
func TestHugeSizes(t *testing.T) {
	h := appendHeader(nil, Header{Path: "/huge", Size: 9 << 30, UID: 1 << 22}, typeFile, "", 0)
	if want := "19 size=9663676416\n"; !bytes.Contains(h, []byte(want)) || !bytes.Contains(h, []byte(" uid=4194304\n")) {
		t.Errorf("header %q has no %q", bytes.Trim(h, "\x00"), want)
	}
	var b bytes.Buffer
	o := newOutput(&b, nil)
	if err := errors.Join(o.trailer(7, 1<<32+5), o.flush()); err != nil {
		t.Fatal(err)
	}
	if want := []byte{7, 0, 0, 0, 5, 0, 0, 0}; !bytes.Equal(b.Bytes(), want) {
		t.Errorf("trailer % x, want % x", b.Bytes(), want)
	}
}
