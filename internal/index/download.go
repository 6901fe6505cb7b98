package index

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"
)

// worthwhile is how much an attempt must have brought for the count of attempts
// to start anew: a big file over a bad line gets there in the end.
const worthwhile = 1 << 20

// Delays between attempts; a server's own wish is honoured up to maxRetryAfter.
const (
	firstDelay    = 250 * time.Millisecond
	maxDelay      = 10 * time.Second
	maxRetryAfter = time.Minute
)

// download makes the verified file, by as many attempts as it takes and the
// limits allow. It is the only one that touches this hash's partial file.
func (c *Client) download(ctx context.Context, hash string, f File, add func(int64)) (string, error) {
	if f.URL == "" {
		located, err := c.Locate(ctx, f)
		if err != nil {
			return "", err
		}
		f = located
	}
	p := &part{path: c.partial(hash), file: f, want: hash, add: add}
	defer p.close()
	for failed := 0; ; {
		before := p.size
		err := c.attempt(ctx, p)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if !transient(err) {
			return "", err
		}
		if p.size-before >= worthwhile {
			failed = 0
		}
		if failed++; failed > c.deps.Retries {
			return "", err
		}
		d := delay(failed, err)
		c.deps.Log.Debug("download is tried again", slog.String("file", f.Filename), slog.String("url", redact(f.URL)),
			slog.Int("attempt", failed+1), slog.Duration("after", d), slog.Any("err", err))
		if err := c.wait(ctx, d); err != nil {
			return "", err
		}
	}
	final := c.final(hash, f.Filename)
	if err := os.MkdirAll(c.deps.Dir, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(p.path, final); err != nil {
		return "", err
	}
	p.forget()
	return final, syncDir(c.deps.Dir)
}

// attempt runs one attempt, in a slot. When it returns nil, the partial file is whole, verified and synced.
func (c *Client) attempt(ctx context.Context, p *part) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := p.open(); err != nil {
		return &localError{err}
	}
	for {
		resumed := p.size > 0
		var err error
		if !p.complete() {
			if path, ok := p.file.localPath(); ok {
				err = p.copyFrom(path)
			} else {
				err = c.get(ctx, p)
			}
		}
		if err == nil {
			err = p.verify()
		}
		if err == nil {
			return p.sync()
		}
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) && !errors.Is(err, errBadResume) {
			return err
		}
		// What is held is worthless. If some of it came from an earlier attempt, that may be why: once more, from the start.
		if rerr := p.reset(); rerr != nil {
			return &localError{rerr}
		}
		if !resumed {
			return err
		}
	}
}

// delay is how long to wait before the next attempt: twice as long each time, with jitter so that many do not come back at once.
func delay(failed int, err error) time.Duration {
	d := min(firstDelay<<min(failed-1, 10), maxDelay)
	d = d/2 + rand.N(d/2)
	var status *StatusError
	if errors.As(err, &status) {
		d = max(d, min(status.RetryAfter, maxRetryAfter))
	}
	return d
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
