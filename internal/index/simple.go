package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// accepted asks for JSON before HTML, as PEP 691 has it.
const accepted = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"

// maxPages is how many pages are kept. A lock asks for each project's once, and then has the files.
const maxPages = 64

// maxFresh bounds what an index may say of how long its page stays true.
const maxFresh = time.Hour

// pages are the pages that were read, by address.
type pages struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry is one page. Who holds its turn owns it.
type entry struct {
	turn chan struct{}
	used time.Time // guarded by pages.mu

	have    bool
	files   []Listed
	missing bool // the index has no such project
	etag    string
	changed string // Last-Modified
	until   time.Time
}

// List returns the files of a project in an index (PEP 503, 691). A page is kept as long as the index allows, and
// asked for again by its ETag. A project that the index does not have has no files.
func (c *Client) List(ctx context.Context, index, project string) ([]Listed, error) {
	files, _, err := c.list(ctx, index, project, false)
	return files, err
}

// list is List that can look anew, and says whether the index was asked.
func (c *Client) list(ctx context.Context, index, project string, anew bool) (files []Listed, asked bool, err error) {
	u, err := pageURL(index, project)
	if err != nil {
		return nil, false, err
	}
	if c.deps.Offline {
		return nil, false, ErrOffline
	}
	e, err := c.pages.take(ctx, redact(u.String()), c.now())
	if err != nil {
		return nil, false, err
	}
	defer func() { <-e.turn }()
	if e.have && !anew && c.now().Before(e.until) {
		return e.files, false, nil
	}
	for failed := 0; ; {
		err := c.ask(ctx, u, e)
		if err == nil {
			return e.files, true, nil
		}
		if ctx.Err() != nil {
			return nil, true, context.Cause(ctx)
		}
		if failed++; !transient(err) || failed > c.deps.Retries {
			return nil, true, err
		}
		d := delay(failed, err)
		c.deps.Log.Debug("index is asked again", slog.String("url", redact(u.String())),
			slog.Int("attempt", failed+1), slog.Duration("after", d), slog.Any("err", err))
		if err := c.wait(ctx, d); err != nil {
			return nil, true, err
		}
	}
}

// pageURL is the address of a project's page.
func pageURL(index, project string) (*url.URL, error) {
	u, err := url.Parse(index)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("%s is not the address of a package index", redact(index))
	}
	name := pypa.NormalizeName(project)
	if name == "" || strings.ContainsAny(name, "/?#%\\ \x00") {
		return nil, fmt.Errorf("%q is not a project's name", project)
	}
	u.Fragment, u.RawFragment = "", ""
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/")+"/"+name+"/", ""
	return u, nil
}

// take waits for the turn at a page.
func (p *pages) take(ctx context.Context, key string, now time.Time) (*entry, error) {
	p.mu.Lock()
	e := p.entries[key]
	if e == nil {
		e = &entry{turn: make(chan struct{}, 1)}
		p.entries[key] = e
	}
	e.used = now
	p.trim()
	p.mu.Unlock()
	select {
	case e.turn <- struct{}{}:
		return e, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// trim forgets the pages that were used the longest ago; p.mu is held.
func (p *pages) trim() {
	for len(p.entries) > maxPages {
		oldest := ""
		for k, e := range p.entries {
			if oldest == "" || e.used.Before(p.entries[oldest].used) {
				oldest = k
			}
		}
		delete(p.entries, oldest) // who holds it keeps it; it is only read anew
	}
}

// ask asks the index for a page once, and puts the answer into e.
func (c *Client) ask(ctx context.Context, u *url.URL, e *entry) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(c.deps.Stall, func() { cancel(errStalled) })
	defer stall.Stop()

	shown := redact(u.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return &localError{fmt.Errorf("%s is not a URL that can be fetched", shown)}
	}
	anonymous := !c.logins.authorize(req)
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", accepted)
	if e.have && e.etag != "" {
		req.Header.Set("If-None-Match", e.etag)
	} else if e.have && e.changed != "" {
		req.Header.Set("If-Modified-Since", e.changed)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("get %s: %w", shown, cause(ctx, bare(err)))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		files, err := parsePage(&stalling{resp: resp, stall: stall, after: c.deps.Stall}, resp)
		if err != nil {
			return c.unreadable(ctx, shown, err)
		}
		e.files, e.missing = files, false
	case http.StatusNotModified:
		if !e.have {
			return &StatusError{Code: resp.StatusCode, URL: shown, Anonymous: anonymous}
		}
	case http.StatusNotFound, http.StatusGone:
		e.files, e.missing = nil, true
	default:
		return &StatusError{
			Code: resp.StatusCode, URL: shown, Anonymous: anonymous,
			RetryAfter: c.retryAfter(resp.Header.Get("Retry-After")),
		}
	}
	e.have = true
	if resp.StatusCode == http.StatusOK || resp.Header.Get("ETag") != "" {
		e.etag, e.changed = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	}
	e.until = c.now().Add(freshness(resp.Header))
	return nil
}

// unreadable words what went wrong with a page's body. A page that makes no sense will not make more the next time.
func (c *Client) unreadable(ctx context.Context, shown string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("get %s: %w", shown, context.Cause(ctx))
	}
	var body *bodyError
	if errors.As(err, &body) {
		return fmt.Errorf("get %s: %w", shown, body.err)
	}
	return &localError{fmt.Errorf("read %s: %w", shown, err)}
}

// bodyError is a fault of the connection, not of what came over it.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }
