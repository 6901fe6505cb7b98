package watch

import (
	"context"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/internal/inode"
)

// poller compares what stat says of paths: for file systems without events and beyond the limit of watches.
type poller struct {
	changed func(path string, everything bool)

	mu   sync.Mutex
	seen map[string]stamp
}

// stamp is what stat says of a path. The inode tells a file that was replaced within the clock's step.
type stamp struct {
	exists bool
	size   int64
	mtime  time.Time
	mode   fs.FileMode
	inode  uint64
}

func newPoller(changed func(string, bool)) *poller {
	return &poller{changed: changed, seen: map[string]stamp{}}
}

// set compares exactly these paths from now on.
func (p *poller) set(paths map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path := range p.seen {
		if !paths[path] {
			delete(p.seen, path)
		}
	}
	for path := range paths {
		if _, known := p.seen[path]; !known {
			p.seen[path] = stampOf(path)
		}
	}
}

func (p *poller) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, path := range p.compare() {
				p.changed(path, false)
			}
		}
	}
}

func (p *poller) compare() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var changed []string
	for path, old := range p.seen {
		if now := stampOf(path); now != old {
			p.seen[path] = now
			changed = append(changed, path)
		}
	}
	return changed
}

func stampOf(path string) stamp {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{exists: true, size: st.Size(), mtime: st.ModTime(), mode: st.Mode().Type(), inode: inode.Of(st)}
}
