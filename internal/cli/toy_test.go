package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/daemon"
)

// toy is an engine whose projects are what their directories are called: each has
// one image, "broken" fails, "odd" cannot be read, "slow" takes its time. The real
// daemon serves it, so that scripts see the socket as users do.
type toy struct {
	mu       sync.Mutex
	seq      uint64
	projects []api.Project
	images   []api.Image
	builds   []api.Build
	subs     map[chan api.Event]bool
	policy   string
}

func newToy(c *config.Config) *toy {
	return &toy{subs: map[chan api.Event]bool{}, policy: c.Registry.Push}
}

// serveToy is Deps.Serve of the scripts.
func serveToy(ctx context.Context, c *config.Config) error {
	return daemon.New(daemon.Deps{
		Engine: newToy(c), Doctor: func(ctx context.Context) (api.Doctor, error) { return doctorToy(ctx, c) }, Config: c, Version: "1.4.0", Log: slog.New(slog.DiscardHandler),
	}).Run(ctx)
}

func (e *toy) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (e *toy) publish(ev api.Event) {
	e.seq++
	ev.Seq, ev.Time = e.seq, now
	for s := range e.subs {
		s <- ev
	}
}

func (e *toy) Info(context.Context) api.Info {
	return api.Info{
		Version: "1.4.0", API: "v1", PID: os.Getpid(), StartedAt: time.Now().Add(-time.Minute), Projects: len(e.projects), Images: len(e.images),
		Targets: []api.TargetInfo{{Name: "layout"}, {Name: "registry", Policy: e.policy}},
	}
}

func (e *toy) Projects(context.Context) []api.Project {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]api.Project{}, e.projects...)
}

func (e *toy) AddProject(_ context.Context, req api.AddProject) (api.Project, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.projects {
		if p.Dir == req.Dir {
			return p, nil
		}
	}
	name := filepath.Base(req.Dir)
	p := api.Project{ID: "id-" + name, Name: name, Dir: req.Dir, Env: req.Env, Images: 1, Flytekit: "1.16.31", FlytekitBy: "lock"}
	if name == "vars" {
		p.Variables = []api.Variable{{Name: "TEAM_REGISTRY", From: api.FromUnrecorded}, {Name: "MIRROR", From: api.FromUnrecorded}}
		for i, v := range p.Variables {
			if value, asked := req.Shell[v.Name]; asked && value != nil {
				p.Variables[i].From = api.FromShell
			} else if asked {
				p.Variables[i].From = api.FromUnset
			}
		}
	}
	if req.Look {
		return p, nil
	}
	if name == "odd" {
		p.Images, p.Unreadable = 0, []api.Unreadable{{File: "flow.py", Line: 3, Field: "name", Reason: "calls get_name()"}}
	} else {
		e.images = append(e.images, api.Image{
			Label: name + "/image", Name: "localhost:30000/" + name + ":AbCdEfGhIjKlMnOpQrStUv", Tag: "AbCdEfGhIjKlMnOpQrStUv",
			Project: p.ID, Dir: p.Dir, Registry: "localhost:30000", State: api.Queued, Since: time.Now(), Source: api.Source{Kind: "found", File: "flow.py", Line: 3},
			Targets: []api.TargetState{at("layout", api.Queued), at("registry", api.Queued)},
		})
	}
	e.projects = append(e.projects, p)
	e.publish(api.Event{Kind: "project", Project: &p})
	return p, nil
}

func (e *toy) RemoveProject(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range e.projects {
		if p.ID == id {
			e.projects = append(e.projects[:i], e.projects[i+1:]...)
			e.images = nil
			e.publish(api.Event{Kind: "removed", Removed: id})
			return nil
		}
	}
	return &api.Error{Code: api.CodeNotFound, Message: "no project " + id}
}

// PutSpec teaches the toy nothing.
func (e *toy) PutSpec(context.Context, api.PutSpec) (api.Image, error) {
	return api.Image{}, &api.Error{Code: api.CodeUnsupported, Message: "a toy learns nothing"}
}

func (e *toy) ForgetSpec(_ context.Context, ref string) error {
	return &api.Error{Code: api.CodeConflict, Message: ref + " was not learned from a run"}
}

func (e *toy) Disk(context.Context) (api.Disk, error) { return api.Disk{Kinds: []api.DiskKind{}}, nil }

func (e *toy) Prune(_ context.Context, req api.Prune) (api.Pruned, error) {
	return api.Pruned{DryRun: req.DryRun, Freed: []api.Freed{}}, nil
}

func (e *toy) Images(context.Context) []api.Image {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]api.Image{}, e.images...)
}

func (e *toy) FindImage(_ context.Context, ref string) (api.Image, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.find(ref); i >= 0 {
		return e.images[i], nil
	}
	return api.Image{}, &api.Error{Code: api.CodeNotFound, Message: "no image " + ref, Hint: "imgspecd status lists them"}
}

func (e *toy) find(ref string) int {
	for i, im := range e.images {
		if ref == im.Label || ref == im.Name || ref == im.Tag || "id-"+ref == im.Project {
			return i
		}
	}
	return -1
}

func (e *toy) WaitImage(ctx context.Context, ref string) (api.Image, error) {
	events, stop := e.Events(0)
	defer stop()
	for {
		im, err := e.FindImage(ctx, ref)
		if err != nil || im.State.Final() {
			return im, err
		}
		select {
		case <-events:
		case <-ctx.Done():
			return im, nil
		}
	}
}

func (e *toy) StartBuild(_ context.Context, req api.StartBuild) (api.BuildList, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var l api.BuildList
	in, _ := around(e.projects, req.Dir)
	for i := range e.images {
		im := &e.images[i]
		if im.Label != req.Image && (req.Dir == "" || im.Project != in.ID) {
			continue
		}
		if im.State == api.Ready && !req.Force {
			l.Images = append(l.Images, *im)
			continue
		}
		b := api.Build{
			ID: fmt.Sprintf("b%d", len(e.builds)+1), Image: im.Name, Label: im.Label, Project: im.Project,
			State: api.Queued, Cause: "asked for", Created: time.Now(),
		}
		im.Build = b.ID
		e.builds = append(e.builds, b)
		l.Builds = append(l.Builds, b)
		go e.run(len(e.builds)-1, i)
	}
	return l, nil
}

// run takes one build through its states.
func (e *toy) run(build, image int) {
	name := filepath.Base(e.images[image].Dir)
	steps := []api.State{api.Building, api.Publishing, api.Ready}
	if name == "broken" {
		steps = []api.State{api.Building, api.Failed}
	}
	for _, s := range steps {
		for n := 0; name == "slow" && n < 10; n++ {
			time.Sleep(30 * time.Millisecond)
			e.mu.Lock()
			im := e.images[image]
			im.Progress = []api.Progress{
				{Step: "fetch", Bytes: int64(n) * 3_100_000, BytesTotal: 31_000_000, Items: n, ItemsTotal: 10},
				{Step: "layers", Bytes: int64(n) * 1_500_000, BytesTotal: 120_000_000, Items: n / 2, ItemsTotal: 38},
			}
			e.publish(api.Event{Kind: "image", Image: &im})
			e.mu.Unlock()
		}
		e.mu.Lock()
		b, im := &e.builds[build], &e.images[image]
		t := time.Now()
		b.State, im.State, im.Since = s, s, t
		if b.Started == nil {
			b.Started = &t
		}
		im.Progress = []api.Progress{{Step: "layers", Bytes: 3_000_000, BytesTotal: 12_000_000, Items: 2, ItemsTotal: 8}}
		if s.Final() {
			im.Progress, b.Ended = nil, &t
			im.Targets = []api.TargetState{at("layout", s), at("registry", s)}
			b.Targets = im.Targets
			b.Stats = api.Stats{Layers: 8, LayersMade: 2, SentBytes: 120_000, TotalMS: 345}
		}
		if s == api.Failed {
			im.Error = &api.Error{Code: api.CodeInvalid, Message: "uv.lock:7: hash is missing", Hint: "uv lock"}
			im.Detail, b.Error, b.Detail = im.Error.Message, im.Error, im.Error.Message
			im.Targets, b.Targets = nil, nil
		}
		bc, ic := *b, *im
		e.publish(api.Event{Kind: "build", Build: &bc})
		e.publish(api.Event{Kind: "image", Image: &ic})
		e.mu.Unlock()
	}
}

func (e *toy) Builds(context.Context, string, int) []api.Build { return e.builds }

func (e *toy) Build(_ context.Context, id string) (api.Build, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.builds {
		if b.ID == id {
			return b, nil
		}
	}
	return api.Build{}, &api.Error{Code: api.CodeNotFound, Message: "no build " + id}
}

func (e *toy) WaitBuild(ctx context.Context, id string) (api.Build, error) { return e.Build(ctx, id) }

func (e *toy) CancelBuild(ctx context.Context, id string) (api.Build, error) { return e.Build(ctx, id) }

func (e *toy) Log(_ context.Context, id string, _ bool) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte("log of " + id + "\nlayers: made 2\x1b[2J\nlast line"))), nil
}

func (e *toy) Events(uint64) (<-chan api.Event, func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := make(chan api.Event, 100)
	s <- api.Event{Kind: "hello", Seq: e.seq, Time: now}
	e.subs[s] = true
	return s, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subs, s)
	}
}

func (e *toy) Explain(ctx context.Context, req api.Explain) (api.Explanation, error) {
	return explainToy(ctx, nil, req)
}

// explainToy is Deps.Explain of the scripts: it gives back what it was asked.
func explainToy(_ context.Context, _ *config.Config, req api.Explain) (api.Explanation, error) {
	if bytes.Contains(req.Spec, []byte("fail")) {
		return api.Explanation{}, &api.Error{Code: api.CodeUnsupported, Message: "field conda_packages is not supported"}
	}
	x := explanation()
	x.Flytekit, x.Spec = req.Flytekit, req.Spec
	if req.Image != "" {
		x.Spec = []byte(`{"name": "churn"}`)
		x.Flytekit = "1.16.31"
	}
	return x, nil
}

// localToy is Deps.Local of the scripts: the toy behind a socket of its own.
func localToy(ctx context.Context, c *config.Config) (Daemon, func() error, error) {
	dir, err := os.MkdirTemp("", "imgspecd")
	if err != nil {
		return nil, nil, err
	}
	own := *c
	own.Socket = filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- serveToy(ctx, &own) }()
	d := connect(&own)
	for i := 0; i < 500; i++ { // the socket's file is there before anybody listens to it
		if _, err := d.Info(ctx); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return d, func() error {
		cancel()
		return errors.Join(<-done, os.RemoveAll(dir))
	}, nil
}

// doctorToy is Deps.Doctor of the scripts: a machine whose uv is missing, and whose registry refuses where pushes are wanted.
func doctorToy(_ context.Context, c *config.Config) (api.Doctor, error) {
	d := examined()
	if c.Registry.Push == config.PushNever {
		d.Checks = d.Checks[:len(d.Checks)-1]
	}
	for _, kv := range os.Environ() {
		if name, value, _ := strings.Cut(kv, "="); api.MattersToBuilds(name) {
			d.Environment[name] = api.ConcealValue(d.Salt, value)
		}
	}
	return d, nil
}
