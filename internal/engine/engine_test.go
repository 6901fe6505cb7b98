package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/watch"
)

// world is what a test's engine sees: projects that hold what the test says, and a
// builder that ends when the test lets it.
type world struct {
	t        *testing.T
	e        *Engine
	hints    chan watch.Hint
	mu       sync.Mutex
	tags     map[string]string // project → tag its one spec has now
	broken   map[string]*api.Error
	there    map[string]bool  // names the targets hold
	fail     map[string]error // what a run of a name ends with
	gate     chan struct{}    // each run takes one before it ends; nil: none
	ran      []string
	slow     time.Duration  // how long a project takes to be read
	real     *ProjectReader // reads projects, where it is set
	records  records
	end      func()
	place    *shelf // where images are besides; nil: nowhere
	policy   Policy
	verified int // times that the targets were asked
	contents
}

type records struct {
	mu       sync.Mutex
	projects map[string]store.Project
	builds   map[string]api.Build
	memories
	learned map[string]store.Learned
}

func (r *records) Projects() ([]store.Project, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []store.Project
	for _, p := range r.projects {
		out = append(out, p)
	}
	return out, nil
}

func (r *records) PutProject(p store.Project) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.projects[p.ID] = p
	return nil
}

func (r *records) DeleteProject(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.projects, id)
	return nil
}

func (r *records) Builds() ([]api.Build, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []api.Build
	for _, b := range r.builds {
		out = append(out, b)
	}
	return out, nil
}

func (r *records) PutBuild(b api.Build) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.builds[b.ID] = b
	return nil
}

func (w *world) Set(string, []string, []string, []string) {}
func (w *world) Hints() <-chan watch.Hint                 { return w.hints }

func (w *world) Read(ctx context.Context, p store.Project) (Reading, error) {
	if w.real != nil {
		return w.real.Read(ctx, p)
	}
	time.Sleep(w.slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	tag := w.tags[p.ID]
	if tag == "" {
		return Reading{}, nil
	}
	s := Spec{Label: "img", Source: api.Source{Kind: "found", File: "wf.py", Line: 3}}
	s.Named = imagespec.Named{Name: "app:" + tag, Tag: tag, ID: tag, Inputs: []imagespec.Input{{Path: p.Dir + "/uv.lock", Digest: tag, Named: true}}}
	s.Policy = w.policy
	w.decides(&s, p)
	if err := w.broken[p.ID]; err != nil {
		s.Named, s.Err, s.Half = imagespec.Named{}, err, true
	}
	return Reading{Specs: []Spec{s}, Files: []string{p.Dir + "/uv.lock"}}, nil
}

func (w *world) Explain(_ context.Context, _ api.Explain, of *Spec) (api.Explanation, error) {
	if of == nil {
		return api.Explanation{}, nil
	}
	return w.explained(*of), nil
}

func (w *world) Verify(_ context.Context, s Spec) ([]api.TargetState, string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verified++
	if w.place != nil && !w.there[s.Named.Name] && slices.Contains(w.ran, s.Named.Name) {
		lost := api.TargetState{Name: w.place.Name(), State: api.Failed, Error: &api.Error{Code: api.CodeNotFound, Message: "it was removed there"}}
		return []api.TargetState{lost}, "", false
	}
	return w.targets(s), "sha256:" + s.Named.Tag, w.there[s.Named.Name]
}

func (w *world) Run(ctx context.Context, s Spec, _ RunOptions, obs Observer) (Outcome, error) {
	w.mu.Lock()
	w.ran = append(w.ran, s.Named.Name)
	fail, gate := w.fail[s.Named.Name], w.gate
	w.mu.Unlock()
	obs.Progress(progress.Event{Step: progress.Layers, Items: 1, ItemsTotal: 2})
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	}
	obs.State(api.Publishing)
	if fail != nil {
		return Outcome{}, fail
	}
	w.mu.Lock()
	w.there[s.Named.Name] = true
	w.mu.Unlock()
	made, _ := w.Plan(ctx, s)
	return Outcome{Made: made, Digest: "sha256:" + s.Named.Tag, Targets: append([]api.TargetState{{Name: "layout", State: api.Ready}}, w.targets(s)...)}, nil
}

func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verified
}

func (w *world) targets(s Spec) []api.TargetState {
	if w.place == nil {
		return nil
	}
	return []api.TargetState{{Name: w.place.Name(), State: api.Ready, Digest: "sha256:" + s.Named.Tag}}
}

func newWorld(t *testing.T, before func(*world)) *world {
	w := &world{
		t: t, hints: make(chan watch.Hint),
		tags: map[string]string{}, broken: map[string]*api.Error{}, there: map[string]bool{}, fail: map[string]error{},
		records: records{projects: map[string]store.Project{}, builds: map[string]api.Build{}},
	}
	w.records.projects["p"] = store.Project{ID: "p", Dir: "/src/proj", AddedAt: time.Now()}
	if before != nil {
		before(w)
	}
	var watched []publish.Watchable
	if w.place != nil {
		watched = append(watched, w.place)
	}
	w.e = New(Deps{
		Watched: watched,
		Records: &w.records, Watch: w, Reader: w, Runner: w, Logs: t.TempDir(), Now: time.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Concurrent: 1, Grace: 2 * time.Second, Retry: 10 * time.Second,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.e.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("engine ended with %v", err)
		}
	})
	synctest.Wait()
	return w
}

func (w *world) save(tag string) {
	w.mu.Lock()
	w.tags["p"] = tag
	w.mu.Unlock()
	w.hints <- watch.Hint{Project: "p", Paths: []string{"/src/proj/uv.lock"}, At: time.Now()}
	synctest.Wait()
}

func (w *world) image() api.Image {
	w.t.Helper()
	im, err := w.e.FindImage(w.t.Context(), "proj/img")
	if err != nil {
		w.t.Fatal(err)
	}
	return im
}

func (w *world) builds() []api.Build {
	return w.e.Builds(w.t.Context(), "", 0)
}

func TestSavedLockBuildsOnceAndUnchangedBuildsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.end()
		w.save("t1")
		im := w.image()
		if im.State != api.Ready || im.Name != "app:t1" || im.Digest != "sha256:t1" {
			t.Fatalf("after a save: %+v", im)
		}
		w.save("t1")
		w.save("t1")
		if got := len(w.builds()); got != 1 {
			t.Errorf("unchanged content: %d builds, want 1", got)
		}
		w.save("t2")
		im = w.image()
		if im.Name != "app:t2" || im.State != api.Ready || im.Previous != "app:t1" {
			t.Errorf("after a change: %+v", im)
		}
		if cause := w.builds()[0].Cause; cause != "uv.lock changed" {
			t.Errorf("cause %q", cause)
		}
	})
}

func TestNewerSaveSupersedesWithCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.gate = make(chan struct{}) })
		defer w.end()
		w.save("t1")
		time.Sleep(time.Second)
		w.save("t2")
		w.gate <- struct{}{}
		synctest.Wait()
		if im := w.image(); im.Name != "app:t2" || im.State != api.Ready {
			t.Fatalf("newest did not win: %+v", im)
		}
		old := w.builds()[1]
		if old.Image != "app:t1" || old.State != api.Superseded || old.Detail != "superseded by app:t2: uv.lock changed" {
			t.Errorf("overtaken build: %+v", old)
		}
		// Back to a name that is not there: it is built anew, not joined to the canceled run.
		w.save("t1")
		w.gate <- struct{}{}
		synctest.Wait()
		if im := w.image(); im.Name != "app:t1" || im.State != api.Ready {
			t.Errorf("back to the first: %+v", im)
		}
	})
}

func TestFlipBackWhileCancelingBuildsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.gate = make(chan struct{}) })
		defer w.end()
		w.save("a")
		w.save("b")
		w.save("a")
		for range 3 {
			select {
			case w.gate <- struct{}{}:
			case <-time.After(time.Minute):
			}
			synctest.Wait()
		}
		if im := w.image(); im.Name != "app:a" || im.State != api.Ready {
			t.Errorf("A-B-A ends as %s %s", im.Name, im.State)
		}
	})
}

func TestReadyAtTheTargetsNeedsNoBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.tags["p"] = "t1"
			w.there["app:t1"] = true
		})
		defer w.end()
		if im := w.image(); im.State != api.Ready {
			t.Errorf("state %s", im.State)
		}
		if len(w.builds()) != 0 {
			t.Errorf("built what was there: %v", w.builds())
		}
	})
}

func TestHalfWrittenLockWaitsThenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.broken["p"] = &api.Error{Code: api.CodeInvalid, Message: "uv.lock:7: truncated"}
		})
		defer w.end()
		w.save("t1")
		if im := w.image(); im.State != api.Waiting {
			t.Fatalf("half written: %s", im.State)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if im := w.image(); im.State != api.Failed || !strings.Contains(im.Detail, "uv.lock:7") {
			t.Fatalf("after the grace: %s %s", im.State, im.Detail)
		}
		w.mu.Lock()
		delete(w.broken, "p")
		w.mu.Unlock()
		w.save("t1")
		if im := w.image(); im.State != api.Ready || im.Error != nil {
			t.Errorf("once whole: %+v", im)
		}
	})
}

func TestUnavailableIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.fail["app:t1"] = &api.Error{Code: api.CodeUnavailable, Message: "registry: connection refused"}
			w.fail["app:t2"] = &api.Error{Code: api.CodeInvalid, Message: "hash mismatch"}
		})
		defer w.end()
		w.save("t1")
		if im := w.image(); im.State != api.Failed || !strings.Contains(im.Detail, "next try in 10s") {
			t.Fatalf("%s: %s", im.State, im.Detail)
		}
		w.mu.Lock()
		delete(w.fail, "app:t1")
		w.mu.Unlock()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if im := w.image(); im.State != api.Ready {
			t.Errorf("after the wait: %s", im.State)
		}
		w.save("t2")
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(w.builds()); n != 3 {
			t.Errorf("%d builds: what is wrong in itself was tried again", n)
		}
	})
}

func TestStopMarksWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.gate = make(chan struct{}) })
		w.save("t1")
		w.end()
		for _, b := range w.records.builds {
			if b.State != api.Canceled || b.Ended == nil {
				t.Errorf("recorded as %s", b.State)
			}
		}
		if _, err := w.e.FindImage(t.Context(), "proj/img"); err == nil {
			t.Error("an engine that has ended still answers")
		}
	})
}

func TestRestartMarksInterruptedBuildsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.tags["p"] = "t1"
			w.records.builds["x"] = api.Build{ID: "x", Image: "app:t1", Label: "proj/img", Project: "p", State: api.Building, Created: time.Now()}
		})
		defer w.end()
		if im := w.image(); im.State != api.Ready {
			t.Errorf("after a crash: %s", im.State)
		}
		b, err := w.e.Build(t.Context(), "x")
		if err != nil || b.State != api.Canceled {
			t.Errorf("interrupted build: %+v, %v", b, err)
		}
	})
}

func TestStartBuildJoinsForcesAndExplains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.end()
		w.save("t1")
		list, err := w.e.StartBuild(t.Context(), api.StartBuild{Image: "proj/img"})
		if err != nil || len(list.Builds) != 0 || len(list.Images) != 1 || list.Images[0].State != api.Ready {
			t.Fatalf("ready image: %+v, %v", list, err)
		}
		list, err = w.e.StartBuild(t.Context(), api.StartBuild{Image: "app", Force: true})
		if err != nil || len(list.Builds) != 1 {
			t.Fatalf("forced: %+v, %v", list, err)
		}
		b, err := w.e.WaitBuild(t.Context(), list.Builds[0].ID)
		if err != nil || b.State != api.Ready {
			t.Errorf("forced build ended %+v, %v", b, err)
		}
		_, err = w.e.StartBuild(t.Context(), api.StartBuild{Dir: "/nowhere"})
		var a *api.Error
		if !errors.As(err, &a) || a.Code != api.CodeNotFound || !strings.Contains(a.Hint, "imgspecd watch") {
			t.Errorf("unwatched directory: %v", err)
		}
	})
}

func TestCancelBuildEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.gate = make(chan struct{}) })
		defer w.end()
		w.save("t1")
		b, err := w.e.CancelBuild(t.Context(), w.image().Build)
		if err != nil || b.State != api.Canceled {
			t.Fatalf("%+v, %v", b, err)
		}
		if im := w.image(); im.State != api.Canceled {
			t.Errorf("image %s", im.State)
		}
	})
}

func TestEventsResumeAndTellGaps(t *testing.T) {
	b := newBroker(time.Now, 8)
	for range 20 {
		b.publish(api.Event{Kind: "image"})
	}
	events, stop := b.subscribe(17)
	defer stop()
	var seqs []uint64
	for len(seqs) < 4 {
		ev := <-events
		seqs = append(seqs, ev.Seq)
	}
	if seqs[0] != 17 || seqs[1] != 18 || seqs[3] != 20 {
		t.Errorf("resumed with %v", seqs)
	}
	late, stopLate := b.subscribe(2)
	defer stopLate()
	<-late
	if ev := <-late; ev.Kind != "gap" {
		t.Errorf("events that are gone: %+v", ev)
	}
	slow, stopSlow := b.subscribe(0)
	defer stopSlow()
	for range 600 {
		b.publish(api.Event{Kind: "image"})
	}
	gap := false
	for range 256 {
		<-slow
	}
	b.publish(api.Event{Kind: "image"})
	b.publish(api.Event{Kind: "image"})
	for range 2 {
		ev := <-slow
		gap = gap || ev.Kind == "gap"
	}
	if !gap {
		t.Error("a slow reader was not told that it lost events")
	}
}

func TestAStartingDaemonDoesNotDenyWhatItIsAboutToKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.tags["p"] = "t1"
			w.slow = 3 * time.Second
		})
		defer w.end()
		begin := time.Now()
		im := w.image() // fails on "no watched project has an image"
		if im.Name != "app:t1" || time.Since(begin) != 3*time.Second {
			t.Errorf("after %s: %+v", time.Since(begin), im)
		}
	})
}
