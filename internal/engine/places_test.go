package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
)

// shelf is somewhere that others remove images from.
type shelf struct{ changes chan publish.Change }

func (p *shelf) Name() string { return "docker" }

func (p *shelf) Watch(ctx context.Context, changed func(publish.Change)) {
	for {
		select {
		case c := <-p.changes:
			changed(c)
		case <-ctx.Done():
			return
		}
	}
}

// placed is a world with a place, in which app:t1 is ready.
func placed(t *testing.T, policy Policy) *world {
	w := newWorld(t, func(w *world) {
		policy.Docker = "auto"
		w.place, w.policy = &shelf{make(chan publish.Change)}, policy
	})
	w.save("t1")
	if im := w.image(); im.State != api.Ready {
		t.Fatalf("at first: %+v", im)
	}
	return w
}

// remove takes the image away and tells of it.
func (w *world) remove(name string) {
	w.mu.Lock()
	delete(w.there, name)
	w.mu.Unlock()
	w.tell(publish.Change{Images: []string{publish.FullName(name)}})
}

func (w *world) tell(c publish.Change) {
	w.place.changes <- c
	synctest.Wait()
}

func TestRemovedImageIsMadeReadyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := placed(t, Policy{})
		defer w.end()
		w.remove("app:t1")
		if im := w.image(); im.State != api.Ready || len(w.builds()) != 2 || w.builds()[0].Cause != "docker: it was removed there" {
			t.Errorf("after it was removed: %s, builds %+v", im.State, w.builds())
		}
		// What concerns others, or changed nothing, makes no work.
		w.tell(publish.Change{Images: []string{publish.FullName("other:t1"), "sha256:0"}})
		w.tell(publish.Change{Images: []string{"sha256:t1"}})
		w.tell(publish.Change{All: true})
		if got := len(w.builds()); got != 2 {
			t.Errorf("%d builds, want 2", got)
		}
	})
}

func TestRemovedImageIsShownAsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := placed(t, Policy{Restore: "never"})
		defer w.end()
		w.remove("app:t1")
		im := w.image()
		if im.State != api.Failed || im.Detail != "docker: it was removed there" || !strings.Contains(im.Error.Hint, "imgspecd build proj/img") || len(w.builds()) != 1 {
			t.Fatalf("after it was removed: %+v, builds %+v", im, w.builds())
		}
		w.save("t1")
		if im := w.image(); im.State != api.Failed {
			t.Errorf("a save of the same content: %s", im.State)
		}
		// Somebody brings it back.
		w.mu.Lock()
		w.there["app:t1"] = true
		w.mu.Unlock()
		w.tell(publish.Change{All: true})
		if im := w.image(); im.State != api.Ready || im.Error != nil || len(w.builds()) != 1 {
			t.Errorf("once it is back: %+v", im)
		}
		w.remove("app:t1")
		if _, err := w.e.StartBuild(t.Context(), api.StartBuild{Image: "proj/img"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if im := w.image(); im.State != api.Ready || len(w.builds()) != 2 {
			t.Errorf("once it was asked for: %+v", im)
		}
	})
}

// Something that removes an image again and again is not fought for ever.
func TestRemovalsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := placed(t, Policy{})
		defer w.end()
		w.remove("app:t1")
		for range 4 {
			w.remove("app:t1")
			if im := w.image(); im.State != api.Failed || !strings.Contains(im.Detail, "it is made ready in") {
				t.Fatalf("removed again: %s: %s", im.State, im.Detail)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if im := w.image(); im.State != api.Ready {
				t.Fatalf("after the wait: %s: %s", im.State, im.Detail)
			}
		}
		w.remove("app:t1")
		time.Sleep(time.Hour)
		synctest.Wait()
		if im := w.image(); im.State != api.Failed || !strings.Contains(im.Error.Hint, "something removes it again and again") {
			t.Errorf("removed too often: %+v", im)
		}
		if got := len(w.builds()); got != 6 {
			t.Errorf("%d builds, want 6", got)
		}
	})
}

// A removal that is told while the image is being made is looked into once it is ready.
func TestRemovalWhileItIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.place, w.gate, w.policy = &shelf{make(chan publish.Change)}, make(chan struct{}), Policy{Docker: "auto"}
		})
		defer w.end()
		w.save("t1")
		w.tell(publish.Change{Images: []string{publish.FullName("app:t1")}})
		w.gate <- struct{}{}
		synctest.Wait()
		if im := w.image(); im.State != api.Ready || len(w.builds()) != 1 {
			t.Errorf("a change before it was there: %s, %d builds", im.State, len(w.builds()))
		}
	})
}

// What happens in Docker makes no question to a registry, if the image is not for Docker.
func TestChangeOfAnotherPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.place, w.policy = &shelf{make(chan publish.Change)}, Policy{Docker: "never"}
		})
		defer w.end()
		w.save("t1")
		asked := w.asked()
		w.tell(publish.Change{All: true})
		if got := w.asked(); got != asked {
			t.Errorf("the targets were asked %d times more", got-asked)
		}
	})
}
