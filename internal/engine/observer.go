package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// Observer is told by a Runner how its run goes on. Safe for concurrent use.
type Observer interface {
	// Logf writes a line to the build's log.
	Logf(format string, args ...any)
	// State says that the run is now building or publishing.
	State(api.State)
	// Target says how one target stands.
	Target(api.TargetState)
	// Progress says how far one step is; calls may come thousands a second.
	Progress(progress.Event)
}

// progressEvery is how often the progress of one step is passed on.
const progressEvery = 100 * time.Millisecond

// observer passes what a run tells on to the loop.
type observer struct {
	e    *Engine
	run  *run // for the loop only
	log  *buildLog
	now  func() time.Time
	mu   sync.Mutex
	last map[string]time.Time
}

func (o *observer) Logf(format string, args ...any) { o.log.printf(format, args...) }

func (o *observer) State(s api.State) {
	o.e.post(func(l *loop) {
		if !o.run.build.State.Final() {
			l.stage(o.run, s)
		}
	})
}

func (o *observer) Target(t api.TargetState) {
	t.Since = o.now().UTC()
	switch {
	case t.Error != nil:
		o.log.printf("%s: %s", t.Name, t.Error.Error())
	case t.State == api.Ready:
		o.log.printf("%s: ready, %s, sent %d layers, %d bytes", t.Name, t.Digest, t.SentLayers, t.SentBytes)
	}
	o.e.post(func(l *loop) {
		b := &o.run.build
		if b.State.Final() {
			return
		}
		b.Targets = withTarget(b.Targets, t)
		for _, im := range l.imagesOf(o.run) {
			im.view.Targets = b.Targets
			l.tell(im)
		}
	})
}

func (o *observer) Progress(ev progress.Event) {
	if ev.Note != "" {
		o.log.printf("%s", ev.Note)
		if ev.Items == 0 && ev.Bytes == 0 && ev.ItemsTotal == 0 && ev.BytesTotal == 0 {
			return
		}
	}
	p := api.Progress{
		Step: string(ev.Step), Target: ev.Target, Bytes: ev.Bytes, BytesTotal: ev.BytesTotal,
		Items: ev.Items, ItemsTotal: ev.ItemsTotal,
	}
	if !o.due(p) {
		return
	}
	o.e.post(func(l *loop) {
		for _, im := range l.imagesOf(o.run) {
			if !im.view.State.Final() {
				im.view.Progress = withProgress(im.view.Progress, p)
				im.view.Detail = progressDetail(p)
				l.tell(im)
			}
		}
	})
}

// due thins progress out: the end of a step is always passed on.
func (o *observer) due(p api.Progress) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = map[string]time.Time{}
	}
	key, now := p.Step+p.Target, o.now()
	ended := p.ItemsTotal > 0 && p.Items >= p.ItemsTotal
	if !ended && now.Sub(o.last[key]) < progressEvery {
		return false
	}
	o.last[key] = now
	return true
}

func progressDetail(p api.Progress) string {
	what := p.Step
	if what == string(progress.Execute) {
		return "executing " + p.Target
	}
	if p.Target != "" {
		what = p.Target
	}
	if p.ItemsTotal > 0 {
		return fmt.Sprintf("%s %d of %d", what, p.Items, p.ItemsTotal)
	}
	return what
}
