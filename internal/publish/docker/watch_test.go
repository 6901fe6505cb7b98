package docker

import (
	"context"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/internal/publish"
)

// What another client does to an image is told; what is loaded and replaced from here is not.
func TestWatch(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		d := open(t, host, s)
		name := newName(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		told := make(chan publish.Change, 1000)
		ended := make(chan struct{})
		go func() { defer close(ended); d.Watch(ctx, func(c publish.Change) { told <- c }) }()
		if c := <-told; !c.All {
			t.Errorf("the first is %+v", c)
		}
		img := on(t, scratch(t), newLayer(t, "a", 1000))
		first := publishKept(t, s, d, name, img)
		r := publishKept(t, s, d, name, on(t, img, newLayer(t, "b", 1000)))
		must(t, open(t, host, s).Remove(t.Context(), name)) // by a client of its own
		limit := time.After(5 * time.Second)
		for gone := false; !gone; {
			select {
			case c := <-told:
				if gone = !c.All && c.Concerns(name, r.Digest); !gone && c.Concerns("x", first.Digest) && !c.All {
					t.Errorf("told of what was replaced from here: %+v", c)
				}
			case <-limit:
				t.Fatal("the removal was not told")
			}
		}
		cancel()
		<-ended
	})
}
