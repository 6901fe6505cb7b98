package engine

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// Info says how the daemon is.
func (e *Engine) Info(ctx context.Context) api.Info {
	info := e.deps.About
	e.look(ctx, func(l *loop) {
		info.Projects, info.Images = len(l.projects), len(l.images)
		for _, im := range l.images {
			if im.view.State == api.Ready {
				info.Ready++
			}
		}
	})
	info.API = api.Version
	info.RSS = residentBytes()
	if e.deps.Places != nil {
		info.Targets = e.deps.Places(ctx)
	}
	return info
}

// residentBytes reads the process's resident memory where the system tells it (proc(5)); else 0.
func residentBytes() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
