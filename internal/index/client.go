// Package index fetches the files that a lock pins.
//
// Fetch looks for a verified copy by hash, else downloads the file: into
// Tmp/HASH.part, hashing on the way, continuing where an earlier attempt was cut
// off; then checks size and hash, syncs, and renames to its final name below Dir.
// A final name is therefore a promise: what bears it has that hash.
//
// One hash is downloaded once at a time, however many ask; the download ends
// early only when nobody waits for it any more, and what it got so far stays for
// the next attempt.
//
// A file whose URL the lock does not tell is looked up by name and hash in its index
// (Locate), which speaks PEP 691's JSON or PEP 503's HTML. A credential goes to the
// scheme, host and port that it was given for.
//
// It never resolves versions, and never lets a credential into an error or a log.
package index

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Deps is what a Client needs. HTTP, Dir, Tmp and Log are required; the zero
// value of every other field means its default.
type Deps struct {
	HTTP     *http.Client  // transport, proxies, trusted CAs; its CheckRedirect is replaced
	Dir      string        // final files
	Tmp      string        // partial files, on the same file system as Dir
	Parallel int           // downloads at a time; 16
	Retries  int           // attempts after the first that gets nowhere; 4, negative for none
	Stall    time.Duration // how long a download may bring no byte; 30 s
	Netrc    Netrc         // passwords for hosts whose URL brings none
	Indexes  []Index       // where a file is looked for that has no URL, in order; PyPI
	Named    []NamedLogin  // logins of indexes by name
	Keyring  Keyring       // nil: no keyring is asked
	Offline  bool          // only what is in Dir, or on this machine
	Log      *slog.Logger
}

// Client fetches files. Safe for concurrent use.
type Client struct {
	deps   Deps
	http   *http.Client
	logins *logins
	pages  pages
	slots  chan struct{} // one per download under way
	wait   func(context.Context, time.Duration) error
	now    func() time.Time

	mu      sync.Mutex
	flights map[string]*flight // by hash
}

// NewClient returns a Client.
func NewClient(d Deps) *Client {
	if d.Parallel <= 0 {
		d.Parallel = 16
	}
	if d.Retries == 0 {
		d.Retries = 4
	}
	if d.Stall <= 0 {
		d.Stall = 30 * time.Second
	}
	c := &Client{
		logins:  &logins{netrc: d.Netrc, named: d.Named, keyring: d.Keyring, log: d.Log, asked: make(map[string]answer)},
		pages:   pages{entries: make(map[string]*entry)},
		slots:   make(chan struct{}, d.Parallel),
		wait:    sleep,
		now:     time.Now,
		flights: make(map[string]*flight),
	}
	if len(d.Indexes) == 0 {
		d.Indexes = []Index{{URL: PyPI}}
	}
	c.deps = d
	c.Learn(d.Indexes...)
	hc := *d.HTTP
	hc.CheckRedirect = c.checkRedirect
	c.http = &hc
	return c
}

// Indexes are those in which a file is looked for that has no URL, in order.
func (c *Client) Indexes() []Index { return c.deps.Indexes }

// Path returns where a verified copy of f is, if there is one. A file is
// believed by its name; only its size is looked at again.
func (c *Client) Path(f File) (string, bool) {
	hash, err := f.sha256()
	if err != nil {
		return "", false
	}
	path := c.final(hash, f.Filename)
	fi, err := os.Stat(path)
	if err != nil || !fi.Mode().IsRegular() || (f.Size > 0 && fi.Size() != f.Size) {
		return "", false
	}
	return path, true
}

// Fetch returns the path of a verified copy of f, downloading it if there is none.
//
// Got, if not nil, hears how many more bytes of the file are held: those that
// come, those an earlier attempt had left, and a negative number when some were
// thrown away. Over a successful download they add up to the file's size.
// It is called from other goroutines, never after Fetch has returned.
func (c *Client) Fetch(ctx context.Context, f File, got func(n int64)) (string, error) {
	hash, err := f.sha256()
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", f.Filename, err)
	}
	for {
		if path, ok := c.Path(f); ok {
			return path, nil
		}
		if c.deps.Offline && !f.local() {
			return "", fmt.Errorf("fetch %s: %w", f.Filename, ErrOffline)
		}
		fl, mine := c.board(ctx, hash, f, got)
		if fl == nil { // an abandoned download still holds the partial file
			if err := c.untilLanded(ctx, hash); err != nil {
				return "", fmt.Errorf("fetch %s: %w", f.Filename, err)
			}
			continue
		}
		path, err := c.ride(ctx, hash, fl, mine)
		if err != nil {
			return "", fmt.Errorf("fetch %s: %w", f.Filename, err)
		}
		return path, nil
	}
}

// final is the name of the verified file. The extension is for people and for tools that go by it.
func (c *Client) final(hash, filename string) string {
	ext := ""
	for _, e := range []string{".whl", ".tar.gz", ".zip"} {
		if strings.HasSuffix(filename, e) {
			ext = e
		}
	}
	return filepath.Join(c.deps.Dir, hash+ext)
}

func (c *Client) partial(hash string) string { return filepath.Join(c.deps.Tmp, hash+".part") }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
