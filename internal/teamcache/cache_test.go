package teamcache

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/imgspecd/imgspecd/internal/blob"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
)

// wire counts what is asked, and may change answers.
type wire struct {
	mu     sync.Mutex
	calls  int
	change func(*http.Response)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if err == nil && w.change != nil {
		w.change(resp)
	}
	return resp, err
}

func (w *wire) take() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.calls
	w.calls = 0
	return n
}

// team is a repository of a test's own.
type team struct {
	t    *testing.T
	repo string
	now  time.Time
}

func newTeam(t *testing.T) *team {
	host := os.Getenv("IMGSPECD_TEST_REGISTRY")
	if host == "" {
		t.Skip("IMGSPECD_TEST_REGISTRY is not set")
	}
	x := &team{t: t, repo: host + "/imgspecd-test-" + hexes(6) + "/layers", now: time.Now()}
	t.Cleanup(func() {
		repo, err := name.NewRepository(x.repo)
		if err != nil {
			return
		}
		tags, _ := remote.List(repo)
		for _, tag := range tags {
			if d, err := remote.Head(repo.Tag(tag)); err == nil {
				_ = remote.Delete(repo.Digest(d.Digest.String()))
			}
		}
	})
	return x
}

func hexes(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// machine is a cache and its store.
type machine struct {
	*Cache
	*wire
	store *store.Store
}

func (x *team) machine(readOnly bool) machine {
	x.t.Helper()
	s, err := store.Open(x.t.TempDir())
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { s.Close() })
	w := &wire{}
	deps := publish.RegistryDeps{Transport: w}
	depot, err := publish.NewDepot(deps, x.repo)
	if err != nil {
		x.t.Fatal(err)
	}
	return machine{New(Deps{
		Depot: depot, Puller: publish.NewPuller(deps), Store: s, ReadOnly: readOnly, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return x.now },
	}), w, s}
}

// makes a layer with some bytes that cannot be compressed, under a new key.
func (m machine) makes(t *testing.T, size int) (string, store.LayerRecord) {
	t.Helper()
	key := hexes(32)
	return key, m.makesUnder(t, key, size)
}

func (m machine) makesUnder(t *testing.T, key string, size int) store.LayerRecord {
	t.Helper()
	var plain, zipped bytes.Buffer
	tw := tar.NewWriter(&plain)
	data := make([]byte, size)
	rand.Read(data)
	err := errors.Join(tw.WriteHeader(&tar.Header{Name: "f", Size: int64(size), Mode: 0o644}), second(tw.Write(data)), tw.Close())
	z := gzip.NewWriter(&zipped)
	err = errors.Join(err, second(z.Write(plain.Bytes())), z.Close(), blob.Put(m.store, zipped.Bytes()))
	r := store.LayerRecord{Digest: blob.Digest(zipped.Bytes()), DiffID: blob.Digest(plain.Bytes()), Size: int64(zipped.Len()), Installed: int64(size), Files: 1}
	if err := errors.Join(err, m.store.PutLayer(key, r)); err != nil {
		t.Fatal(err)
	}
	return r
}

func second[T any](_ T, err error) error { return err }

// reads reads a layer to its end.
func (m machine) reads(t *testing.T, key string, r store.LayerRecord) error {
	t.Helper()
	l, err := m.Layer(key, r)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := blob.Open(t.Context(), l, nil)
	if err != nil {
		return err
	}
	defer rc.Close()
	return second(io.Copy(io.Discard, rc))
}

func quiet(string) {}

func TestWhatOneMakesAnotherHas(t *testing.T) {
	x := newTeam(t)
	a, b := x.machine(false), x.machine(true)
	key, rec := a.makes(t, 300_000)
	if got := b.Find(t.Context(), []string{key}, quiet); len(got) != 0 {
		t.Fatalf("before: %v", got)
	}
	if ws := a.Share(t.Context(), []Made{{key, "needle 1.0"}}, "", true); len(ws) != 0 {
		t.Errorf("warnings %v", ws)
	}

	b.take()
	if got := b.Find(t.Context(), []string{key}, quiet); len(got) != 0 || b.take() != 0 {
		t.Errorf("what was not there a moment ago is asked for again: %v", got)
	}
	x.now = x.now.Add(2 * forgetNone)
	if got := b.Find(t.Context(), []string{key}, quiet)[key]; got.Digest != rec.Digest || got.DiffID != rec.DiffID || got.Files != 1 {
		t.Fatalf("%+v, want %+v", got, rec)
	}
	b.take()
	if _, ok := b.Known(key); !ok || len(b.Find(t.Context(), []string{key}, quiet)) != 1 || b.take() != 0 {
		t.Error("what was found is asked for again")
	}
	if err := b.reads(t, key, rec); err != nil {
		t.Fatal(err)
	}
	if got, ok := b.store.Layer(key); !ok || got.DiffID != rec.DiffID {
		t.Errorf("what was read is not kept: %+v", got)
	}
	b.take()
	if err := b.reads(t, key, rec); err != nil || b.take() != 0 || b.Dropped() != 0 {
		t.Errorf("it is read from there again: %v", err)
	}
}

func TestEntriesAreCompared(t *testing.T) {
	x := newTeam(t)
	a, b, c := x.machine(false), x.machine(false), x.machine(true)
	key, rec := a.makes(t, 1000)
	a.Share(t.Context(), []Made{{key, "needle 1.0"}}, "", true)
	mine := b.makesUnder(t, key, 1000)
	ws := b.Share(t.Context(), []Made{{key, "needle 1.0"}}, "", true)
	if len(ws) != 1 || ws[0].Package != "needle 1.0" || !strings.Contains(ws[0].Reason, rec.Digest) || !strings.Contains(ws[0].Reason, mine.Digest) {
		t.Errorf("warnings %v", ws)
	}
	if got := c.Find(t.Context(), []string{key}, quiet)[key]; got.Digest != rec.Digest {
		t.Errorf("the entry was replaced: %+v", got)
	}
	a.take()
	if a.Share(t.Context(), []Made{{key, "needle 1.0"}}, "", true); a.take() != 0 {
		t.Error("what was put is compared again")
	}
	other, _ := c.makes(t, 1000)
	c.Share(t.Context(), []Made{{other, "hay 1.0"}}, "", true)
	b.Share(t.Context(), []Made{{other, "hay 1.0"}}, "", true) // which does not have it
	if got := b.Find(t.Context(), []string{other}, quiet); len(got) != 0 {
		t.Error("who may only read has written")
	}
}

// Some registries deny to read a repository into which nothing was ever put.
func TestFirstEntry(t *testing.T) {
	x := newTeam(t)
	a := x.machine(false)
	key, _ := a.makes(t, 1000)
	a.change = func(resp *http.Response) {
		if resp.Request.Method == http.MethodGet && strings.Contains(resp.Request.URL.Path, "/manifests/") {
			resp.StatusCode = http.StatusForbidden
		}
	}
	told := ""
	if got := a.Find(t.Context(), []string{key}, func(line string) { told += line }); len(got) != 0 || !strings.Contains(told, "pull denied") {
		t.Errorf("%v, %q", got, told)
	}
	a.Share(t.Context(), []Made{{key, "needle 1.0"}}, "", true)
	if b := x.machine(true); len(b.Find(t.Context(), []string{key}, quiet)) != 1 {
		t.Error("nothing is there")
	}
}

func TestWhatIsReadIsHeldAgainstItsRecord(t *testing.T) {
	x := newTeam(t)
	for what, c := range map[string]struct {
		record func(*store.LayerRecord)
		change func(*http.Response)
		want   string
	}{
		"another diffID": {record: func(r *store.LayerRecord) { r.DiffID = blob.Digest([]byte("x")) }, want: "holds the tar"},
		"no gzip at all": {record: func(r *store.LayerRecord) { r.DiffID = blob.Digest(nil) }, change: body(func(b []byte) []byte { return make([]byte, len(b)) }), want: "its layer is sha256:"},
		"a byte turned":  {change: body(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), want: "its layer is sha256:"},
		"too short":      {change: body(func(b []byte) []byte { return b[:len(b)-1] }), want: "bytes, its record says"},
		"too long":       {change: body(func(b []byte) []byte { return append(b, 0) }), want: "longer than"},
	} {
		t.Run(what, func(t *testing.T) {
			a, b := x.machine(false), x.machine(true)
			key, rec := a.makes(t, 100_000)
			if c.record != nil {
				c.record(&rec)
				if err := a.store.PutLayer(key, rec); err != nil {
					t.Fatal(err)
				}
			}
			a.Share(t.Context(), []Made{{key, "needle 1.0"}}, "", true)
			found, ok := b.Find(t.Context(), []string{key}, quiet)[key]
			if !ok {
				t.Fatal("it is not found")
			}
			b.change = c.change
			err := b.reads(t, key, found)
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.want) {
				t.Fatalf("%v", err)
			}
			if _, ok := b.store.Has(found.Digest); ok {
				t.Error("it is kept")
			}
			if b.Dropped() != 1 || len(b.Find(t.Context(), []string{key}, quiet)) != 0 {
				t.Error("it is still believed")
			}
		})
	}
}

// body changes the bytes of blobs.
func body(f func([]byte) []byte) func(*http.Response) {
	return func(resp *http.Response) {
		if resp.Request.Method != http.MethodGet || !strings.Contains(resp.Request.URL.Path, "/blobs/") || resp.StatusCode != http.StatusOK {
			return
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(f(b)))
	}
}

// A reader that goes away is no fault of the entry; one that hangs in the network goes away with its context.
func TestReaderGoesAway(t *testing.T) {
	x := newTeam(t)
	a, b := x.machine(false), x.machine(true)
	key, _ := a.makes(t, 100_000)
	a.Share(t.Context(), []Made{{key, "needle 1.0"}}, "", true)
	rec := b.Find(t.Context(), []string{key}, quiet)[key]
	hang, release := io.Pipe()
	defer release.Close()
	b.change = func(resp *http.Response) {
		if strings.Contains(resp.Request.URL.Path, "/blobs/") {
			resp.Body.Close()
			resp.Body = hang
		}
	}
	l, err := b.Layer(key, rec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rc, err := blob.Open(ctx, l, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	go func() {
		_, _ = release.Write([]byte{0x1f}) // it hangs after this
		cancel()
	}()
	if _, err := io.Copy(io.Discard, rc); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if _, ok := b.Known(key); !ok || b.Dropped() != 0 {
		t.Error("the entry is blamed")
	}
}
