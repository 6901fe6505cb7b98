package index

import (
	"context"
	"sync"
)

// flight is one download that one or more callers of Fetch wait for. It runs in
// a goroutine of its own, so that it does not end with the caller who began it.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when path and err are set
	path   string
	err    error

	passengers int  // guarded by Client.mu
	abandoned  bool // guarded by Client.mu: all left, and it is ending

	mu        sync.Mutex
	held      int64 // bytes of the file held
	listeners map[*listener]struct{}
}

type listener struct{ got func(n int64) }

// board joins the download of hash, or starts it. It returns nil when one is
// there that was abandoned and has not ended yet.
func (c *Client) board(ctx context.Context, hash string, f File, got func(n int64)) (*flight, *listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fl, ok := c.flights[hash]
	if ok && fl.abandoned {
		return nil, nil
	}
	if !ok {
		// Values (traces, say) of the first caller are kept, its end is not.
		fctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight{cancel: cancel, done: make(chan struct{}), listeners: make(map[*listener]struct{})}
		c.flights[hash] = fl
		go func() {
			defer cancel()
			fl.path, fl.err = c.download(fctx, hash, f, fl.add)
			c.mu.Lock()
			delete(c.flights, hash)
			c.mu.Unlock()
			close(fl.done)
		}()
	}
	fl.passengers++
	return fl, fl.listen(got)
}

// ride waits for the download's end, or for the caller's.
func (c *Client) ride(ctx context.Context, hash string, fl *flight, l *listener) (string, error) {
	defer fl.unlisten(l)
	select {
	case <-fl.done:
		return fl.path, fl.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fl.passengers--
	if fl.passengers == 0 && c.flights[hash] == fl {
		fl.abandoned = true
		fl.cancel()
	}
	return "", context.Cause(ctx)
}

// untilLanded waits for the end of the download of hash, whatever it is.
func (c *Client) untilLanded(ctx context.Context, hash string) error {
	c.mu.Lock()
	fl := c.flights[hash]
	c.mu.Unlock()
	if fl == nil {
		return nil
	}
	select {
	case <-fl.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// add reports n more bytes held, or fewer when n is negative.
func (fl *flight) add(n int64) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.held += n
	for l := range fl.listeners {
		l.got(n)
	}
}

// listen has got called from now on, and first with what is held already.
func (fl *flight) listen(got func(n int64)) *listener {
	if got == nil {
		return nil
	}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	l := &listener{got: got}
	fl.listeners[l] = struct{}{}
	if fl.held > 0 {
		got(fl.held)
	}
	return l
}

func (fl *flight) unlisten(l *listener) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	delete(fl.listeners, l)
}
