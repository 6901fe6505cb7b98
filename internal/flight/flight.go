// Package flight lets one caller at a time work on a thing that has a key; the others wait, and then find it done.
package flight

import (
	"context"
	"sync"
)

// Locks are locks by key. The zero value is ready; safe for concurrent use.
type Locks struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when the key is free again
}

// Lock waits until the key is free or ctx ends, whose cause it then returns.
func (f *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		f.mu.Lock()
		wait, taken := f.busy[key]
		if !taken {
			if f.busy == nil {
				f.busy = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			f.busy[key] = mine
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.busy, key)
				f.mu.Unlock()
				close(mine)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
