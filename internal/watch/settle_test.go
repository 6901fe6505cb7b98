package watch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const quiet, limit = 150 * time.Millisecond, 2 * time.Second

// inBubble runs settle under fake time.
func inBubble(t *testing.T, body func(in chan<- change, out <-chan Hint)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		in, out := make(chan change), make(chan Hint)
		done := make(chan struct{})
		go func() { defer close(done); settle(ctx, in, out, quiet, limit) }()
		body(in, out)
		cancel()
		<-done
	})
}

func TestSettleWaitsForQuiet(t *testing.T) {
	inBubble(t, func(in chan<- change, out <-chan Hint) {
		start := time.Now()
		in <- change{"p", "/p/uv.lock"}
		time.Sleep(100 * time.Millisecond)
		in <- change{"p", "/p/pyproject.toml"}
		h := <-out
		if got := time.Since(start); got != 250*time.Millisecond {
			t.Errorf("the hint came after %v, want 150 ms after the last change", got)
		}
		if !slices.Equal(h.Paths, []string{"/p/pyproject.toml", "/p/uv.lock"}) || h.Project != "p" || !h.At.Equal(start) {
			t.Errorf("got %+v", h)
		}
	})
}

func TestSettleDoesNotWaitForEver(t *testing.T) {
	inBubble(t, func(in chan<- change, out <-chan Hint) {
		start := time.Now()
		stop := make(chan struct{})
		var changes sync.WaitGroup
		changes.Go(func() {
			for {
				select {
				case in <- change{"p", "/p/a"}:
					time.Sleep(100 * time.Millisecond)
				case <-stop:
					return
				}
			}
		})
		<-out
		took := time.Since(start)
		close(stop)
		changes.Wait()
		if took != limit {
			t.Errorf("the hint came after %v, want %v", took, limit)
		}
	})
}

func TestSettleKeepsProjectsApart(t *testing.T) {
	inBubble(t, func(in chan<- change, out <-chan Hint) {
		in <- change{"noisy", "/n/a"}
		in <- change{"calm", "/c/a"}
		time.Sleep(100 * time.Millisecond)
		in <- change{"noisy", "/n/a"}
		if h := <-out; h.Project != "calm" {
			t.Errorf("%s came first, want the project that was quiet first", h.Project)
		}
		if h := <-out; h.Project != "noisy" {
			t.Errorf("got %s", h.Project)
		}
	})
}

func TestSettleGathersWhileNobodyReceives(t *testing.T) {
	inBubble(t, func(in chan<- change, out <-chan Hint) {
		in <- change{"p", "/p/a"}
		time.Sleep(10 * time.Second)
		in <- change{"p", "/p/b"}
		time.Sleep(10 * time.Second)
		if h := <-out; len(h.Paths) != 2 {
			t.Errorf("got %v, want both changes in one hint", h.Paths)
		}
		select {
		case h := <-out:
			t.Errorf("a second hint came: %v", h)
		case <-time.After(time.Minute):
		}
	})
}

func TestExplainNamesTheLimit(t *testing.T) {
	for errno, setting := range map[error]string{
		syscall.ENOSPC: "fs.inotify.max_user_watches", syscall.EMFILE: "fs.inotify.max_user_instances",
	} {
		if err := explain(errno); !errors.Is(err, errno) || !strings.Contains(err.Error(), setting) {
			t.Errorf("got %v, want %s in it", err, setting)
		}
	}
}
