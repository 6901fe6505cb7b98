package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// content is a file of n bytes that no compression or luck makes alike to another.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b)
	return b
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// rig is a Client whose waits are recorded instead of waited.
type rig struct {
	*Client
	waits []time.Duration
	held  atomic.Int64
}

func newRig(t *testing.T, change func(*Deps)) *rig {
	t.Helper()
	dir := t.TempDir()
	d := Deps{HTTP: &http.Client{}, Dir: filepath.Join(dir, "wheels"), Tmp: filepath.Join(dir, "tmp"), Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&d)
	}
	r := &rig{Client: NewClient(d)}
	r.wait = func(ctx context.Context, d time.Duration) error {
		r.waits = append(r.waits, d)
		return ctx.Err()
	}
	return r
}

func (r *rig) got(n int64) { r.held.Add(n) }

// fetch fetches f and compares what arrives with want.
func (r *rig) fetch(t *testing.T, f File, want []byte) {
	t.Helper()
	path, err := r.Fetch(t.Context(), f, r.got)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes arrived, not the %d of the file", len(got), len(want))
	}
	if n := r.held.Load(); n != int64(len(want)) {
		t.Errorf("progress adds up to %d, want %d", n, len(want))
	}
	if left, _ := filepath.Glob(filepath.Join(r.deps.Tmp, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// leave puts what an earlier download would have left.
func (r *rig) leave(t *testing.T, f File, b []byte, etag string) {
	t.Helper()
	hash, err := f.sha256()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(r.deps.Tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.partial(hash), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if etag != "" {
		if err := os.WriteFile(r.partial(hash)+".etag", []byte(etag), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// requests records what a server was asked.
type requests struct {
	mu   sync.Mutex
	list []*http.Request
}

func (q *requests) add(r *http.Request) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, r)
	return len(q.list)
}

// serve starts a server; handle is told the number of the request, from 1.
func serve(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request)) (string, *requests) {
	t.Helper()
	q := &requests{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(q.add(r), w, r) }))
	t.Cleanup(s.Close)
	return s.URL, q
}

func file(url string, b []byte) File {
	return File{URL: url + "/demo-1-py3-none-any.whl", Filename: "demo-1-py3-none-any.whl", Hash: hashOf(b), Size: int64(len(b))}
}

func good(b []byte) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

// cut sends the first n bytes of a longer answer, then breaks the connection.
func cut(w http.ResponseWriter, b []byte, n int) {
	w.Header().Set("ETag", `"v1"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestFetch(t *testing.T) {
	b := content(300_000)
	url, q := serve(t, good(b))
	r := newRig(t, nil)
	f := file(url, b)
	if _, ok := r.Path(f); ok {
		t.Fatal("there before it was fetched")
	}
	r.fetch(t, f, b)
	r.fetch(t, f, b) // from disk; no further progress
	if len(q.list) != 1 {
		t.Errorf("%d requests, want 1", len(q.list))
	}
	if _, ok := r.Path(f); !ok {
		t.Error("not there after it was fetched")
	}
}

func TestUnknownSize(t *testing.T) {
	b := content(100_000)
	url, _ := serve(t, good(b))
	f := file(url, b)
	f.Size = 0
	newRig(t, nil).fetch(t, f, b)
}

// A final file of the wrong size (a power cut without fsync, a copied state) is not believed.
func TestTruncatedFinal(t *testing.T) {
	b := content(1000)
	url, _ := serve(t, good(b))
	r := newRig(t, nil)
	f := file(url, b)
	r.fetch(t, f, b)
	path, _ := r.Path(f)
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Path(f); ok {
		t.Error("a truncated file is taken for the real one")
	}
	r.held.Store(0)
	r.fetch(t, f, b)
}

func TestRetries(t *testing.T) {
	b := content(1000)
	tests := map[string]struct {
		status []int // of the first answers; then the file
		header map[string]string
		asked  int
		fails  int // status of the error; 0: it succeeds
		least  time.Duration
	}{
		"500 once":            {status: []int{500}, asked: 2},
		"503 four times":      {status: []int{503, 503, 503, 503}, asked: 5},
		"503 five times":      {status: []int{503, 503, 503, 503, 503}, asked: 5, fails: 503},
		"429 with seconds":    {status: []int{429}, header: map[string]string{"Retry-After": "7"}, asked: 2, least: 7 * time.Second},
		"429 with a date":     {status: []int{429}, header: map[string]string{"Retry-After": "Tue, 24 Nov 2026 12:00:20 GMT"}, asked: 2, least: 20 * time.Second},
		"429 asks for a year": {status: []int{429}, header: map[string]string{"Retry-After": "31536000"}, asked: 2, least: time.Minute},
		"404":                 {status: []int{404}, asked: 1, fails: 404},
		"401":                 {status: []int{401}, asked: 1, fails: 401},
		"403":                 {status: []int{403}, asked: 1, fails: 403},
		"204":                 {status: []int{204}, asked: 1, fails: 204},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n <= len(tt.status) {
					for k, v := range tt.header {
						w.Header().Set(k, v)
					}
					w.WriteHeader(tt.status[n-1])
					return
				}
				good(b)(n, w, r)
			})
			r := newRig(t, nil)
			r.now = func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }
			f := file(url, b)
			if tt.fails == 0 {
				r.fetch(t, f, b)
			} else {
				_, err := r.Fetch(t.Context(), f, nil)
				var status *StatusError
				if !errors.As(err, &status) || status.Code != tt.fails {
					t.Fatalf("error %v, want status %d", err, tt.fails)
				}
			}
			if len(q.list) != tt.asked {
				t.Errorf("%d requests, want %d", len(q.list), tt.asked)
			}
			for i, d := range r.waits {
				if d < tt.least || d > maxRetryAfter {
					t.Errorf("wait %d is %v, want %v to %v", i, d, tt.least, maxRetryAfter)
				}
				if tt.least == 0 && d < firstDelay<<i/2 {
					t.Errorf("wait %d is %v: it does not back off", i, d)
				}
			}
		})
	}
}

// A line that breaks often but brings much each time is not given up.
func TestProgressKeepsTrying(t *testing.T) {
	b := content(12 << 20)
	url, q := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		start, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"))
		rest := b[start:]
		if start > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(b)-1, len(b)))
			w.WriteHeader(http.StatusPartialContent)
		}
		n := min(len(rest), 3<<19)
		_, _ = w.Write(rest[:n])
		if n < len(rest) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	newRig(t, func(d *Deps) { d.Retries = 1 }).fetch(t, file(url, b), b)
	if len(q.list) < 8 {
		t.Errorf("%d requests, want 8 or more", len(q.list))
	}
}

func TestNoServer(t *testing.T) {
	b := content(10)
	url, _ := serve(t, good(b))
	f := file(url, b)
	f.URL = "http://127.0.0.1:1/x.whl"
	r := newRig(t, nil)
	if _, err := r.Fetch(t.Context(), f, nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
	if len(r.waits) != 4 {
		t.Errorf("%d waits, want 4", len(r.waits))
	}
}

func TestStalledDownload(t *testing.T) {
	b := content(100_000)
	release := make(chan struct{})
	url, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b[:50_000])
			w.(http.Flusher).Flush()
			select { // no byte more, until the client goes
			case <-r.Context().Done():
			case <-release:
			}
			return
		}
		good(b)(n, w, r)
	})
	defer close(release)
	newRig(t, func(d *Deps) { d.Stall = 50 * time.Millisecond }).fetch(t, file(url, b), b)
	if len(q.list) != 2 {
		t.Errorf("%d requests, want 2", len(q.list))
	}
}

func TestMismatch(t *testing.T) {
	b := content(1000)
	other := content(1001)[1:]
	tests := map[string]struct {
		served []byte
		what   string
		noSize bool
	}{
		"other content":           {served: other, what: "sha256"},
		"longer":                  {served: append(b[:1000:1000], 1), what: "size"},
		"shorter":                 {served: b[:999], what: "size"},
		"longer, size unknown":    {served: append(b[:1000:1000], 1), what: "sha256", noSize: true},
		"empty, size unknown":     {served: nil, what: "sha256", noSize: true},
		"unannounced and endless": {what: "size"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(name, "unannounced") {
					for {
						if _, err := w.Write(b); err != nil {
							return
						}
					}
				}
				good(tt.served)(n, w, r)
			})
			r := newRig(t, nil)
			f := file(url, b)
			if tt.noSize {
				f.Size = 0
			}
			_, err := r.Fetch(t.Context(), f, r.got)
			var mismatch *MismatchError
			if !errors.As(err, &mismatch) || mismatch.What != tt.what || mismatch.Filename != f.Filename || mismatch.URL != f.URL {
				t.Fatalf("error %v", err)
			}
			if tt.what == "sha256" && (!strings.Contains(err.Error(), f.Hash[7:]) || mismatch.Got == mismatch.Want) {
				t.Errorf("%v does not name both hashes", err)
			}
			if len(q.list) != 1 {
				t.Errorf("%d requests, want 1", len(q.list))
			}
			if _, ok := r.Path(f); ok {
				t.Error("it is there all the same")
			}
			if n := r.held.Load(); n != 0 {
				t.Errorf("progress adds up to %d, want 0", n)
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	b := content(10)
	for name, change := range map[string]func(*File){
		"no hash":          func(f *File) { f.Hash = "" },
		"md5":              func(f *File) { f.Hash = "md5:900150983cd24fb0d6963f7d28e17f72" },
		"hash is a path":   func(f *File) { f.Hash = "sha256:../../../../etc/passwd" },
		"scheme":           func(f *File) { f.URL = "ftp://host/x.whl" },
		"relative":         func(f *File) { f.URL = "x.whl" },
		"file, other host": func(f *File) { f.URL = "file://host/x.whl" },
		"no such file":     func(f *File) { f.URL = "file:///nowhere/x.whl" },
		"a directory":      func(f *File) { f.URL = "/" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			f := file("http://127.0.0.1:1", b)
			change(&f)
			_, err := r.Fetch(t.Context(), f, nil)
			if err == nil || !strings.Contains(err.Error(), f.Filename) {
				t.Errorf("error %v", err)
			}
			if len(r.waits) > 0 {
				t.Errorf("waited %v", r.waits)
			}
		})
	}
}

func TestLocalFiles(t *testing.T) {
	b := content(200_000)
	src := filepath.Join(t.TempDir(), "a b.whl")
	if err := os.WriteFile(src, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{src, (&url.URL{Scheme: "file", Path: src}).String()} {
		r := newRig(t, func(d *Deps) { d.Offline = true })
		f := file("", b)
		f.URL = u
		r.fetch(t, f, b)

		r = newRig(t, nil)
		f.Hash = hashOf([]byte("other"))
		if _, err := r.Fetch(t.Context(), f, nil); !errors.As(err, new(*MismatchError)) {
			t.Errorf("%s: error %v", u, err)
		}
	}
}

func TestOffline(t *testing.T) {
	b := content(10)
	url, q := serve(t, good(b))
	r := newRig(t, func(d *Deps) { d.Offline = true })
	if _, err := r.Fetch(t.Context(), file(url, b), nil); !errors.Is(err, ErrOffline) {
		t.Errorf("error %v", err)
	}
	if len(q.list) > 0 {
		t.Error("it asked all the same")
	}
}

func TestTmpCannotBeWritten(t *testing.T) {
	b := content(10)
	url, _ := serve(t, good(b))
	r := newRig(t, nil)
	if err := os.WriteFile(r.deps.Tmp, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Fetch(t.Context(), file(url, b), nil); err == nil {
		t.Error("no error")
	}
	if len(r.waits) > 0 {
		t.Errorf("waited %v for a disk to change its mind", r.waits)
	}
}

func TestOneDownloadForMany(t *testing.T) {
	b := content(300_000)
	arrived, release := make(chan struct{}), make(chan struct{})
	url, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		good(b)(n, w, r)
	})
	r := newRig(t, nil)
	f := file(url, b)

	// The one who started it leaves; the others still get the file.
	first, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := r.Fetch(first, f, func(int64) {})
		gone <- err
	}()
	<-arrived
	var wg sync.WaitGroup
	var held [8]atomic.Int64
	for i := range held {
		wg.Go(func() {
			if _, err := r.Fetch(t.Context(), f, func(n int64) { held[i].Add(n) }); err != nil {
				t.Error(err)
			}
		})
	}
	for passengers := 0; passengers < 1+len(held); {
		r.mu.Lock()
		passengers = r.flights[f.Hash[7:]].passengers
		r.mu.Unlock()
	}
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(release)
	wg.Wait()
	for i := range held {
		if n := held[i].Load(); n != int64(len(b)) {
			t.Errorf("listener %d heard of %d bytes, want %d", i, n, len(b))
		}
	}
	if len(q.list) != 1 {
		t.Errorf("%d requests, want 1", len(q.list))
	}
}

// When the last one leaves, the download ends and keeps what it has; who comes then continues it.
func TestAbandonedDownloadContinues(t *testing.T) {
	b := content(300_000)
	url, q := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b[:100_000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		good(b)(n, w, r)
	})
	r := newRig(t, nil)
	f := file(url, b)
	ctx, leave := context.WithCancel(t.Context())
	var held int64
	_, err := r.Fetch(ctx, f, func(n int64) {
		if held += n; held == 100_000 {
			leave()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	r.fetch(t, f, b)
	if got := q.list[1].Header.Get("Range"); got != "bytes=100000-" {
		t.Errorf("second request has Range %q", got)
	}
}

func TestParallelIsBounded(t *testing.T) {
	const limit, files = 3, 12
	var now, most atomic.Int64
	bodies := make(map[string][]byte)
	for i := range files {
		bodies[fmt.Sprintf("/%d.whl", i)] = fmt.Appendf(nil, "file %d", i)
	}
	url, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		_, _ = w.Write(bodies[r.URL.Path])
	})
	r := newRig(t, func(d *Deps) { d.Parallel = limit })
	var wg sync.WaitGroup
	for path, b := range bodies {
		wg.Go(func() {
			if _, err := r.Fetch(t.Context(), File{URL: url + path, Filename: path[1:], Hash: hashOf(b)}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > limit {
		t.Errorf("%d downloads at a time, want at most %d", most.Load(), limit)
	}
}
