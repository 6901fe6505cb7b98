package builder

import (
	"context"
	"sync"
)

// flight lets one caller at a time work on a key. Its zero value is ready.
type flight struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when the key is free again
}

// lock waits until the key is free or ctx ends.
func (f *flight) lock(ctx context.Context, key string) (unlock func(), err error) {
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
