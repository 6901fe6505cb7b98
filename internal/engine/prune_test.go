package engine

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/imgspecd/imgspecd/api"
)

// sweeper is a disk whose prune ends when the test lets it.
type sweeper struct {
	names atomic.Pointer[[]string]
	gate  chan struct{}
}

func (s *sweeper) Disk([]string) (api.Disk, error) { return api.Disk{}, nil }

func (s *sweeper) Prune(names []string, _ bool) (api.Pruned, error) {
	s.names.Store(&names)
	<-s.gate
	return api.Pruned{}, nil
}

func TestPruneWaitsForBuildsAndBuildsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.gate = make(chan struct{}) })
		defer w.end()
		s := &sweeper{gate: make(chan struct{})}
		w.e.deps.Disk = s
		w.save("one")
		ended := make(chan error, 1)
		go func() { ended <- second(w.e.Prune(t.Context(), api.Prune{})) }()
		synctest.Wait()
		if s.names.Load() != nil || w.image().State.Final() {
			t.Fatalf("a prune began under a build; the image is %s", w.image().State)
		}
		w.gate <- struct{}{}
		synctest.Wait()
		if names := s.names.Load(); names == nil || w.image().State != api.Ready || !slices.Contains(*names, w.image().Name) {
			t.Fatalf("pruned for %v, the image is %s %s", names, w.image().Name, w.image().State)
		}
		builds := len(w.builds())
		w.save("two")
		if got := w.builds(); len(got) > builds && got[0].State != api.Queued {
			t.Errorf("a build began under a prune: %+v", got[0])
		}
		s.gate <- struct{}{}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.gate <- struct{}{}
		synctest.Wait()
		if im := w.image(); im.State != api.Ready || im.Tag != "two" {
			t.Errorf("after the prune: %s %s", im.Tag, im.State)
		}
	})
}

func second[T any](_ T, err error) error { return err }
