package daemon_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/daemon"
)

// fake is an engine whose answers are the test's; what is not set answers emptily.
type fake struct {
	run           func(context.Context) error
	addProject    func(api.AddProject) (api.Project, error)
	removeProject func(string) error
	projects      func() []api.Project
	images        func() []api.Image
	findImage     func(ctx context.Context, ref string) (api.Image, error)
	waitImage     func(context.Context, string) (api.Image, error)
	startBuild    func(api.StartBuild) (api.BuildList, error)
	builds        func(string, int) []api.Build
	build         func(string) (api.Build, error)
	waitBuild     func(context.Context, string) (api.Build, error)
	cancelBuild   func(string) (api.Build, error)
	log           func(ctx context.Context, id string, follow bool) (io.ReadCloser, error)
	events        func(uint64) (<-chan api.Event, func())
	explain       func(context.Context, api.Explain) (api.Explanation, error)
	putSpec       func(api.PutSpec) (api.Image, error)
	forgetSpec    func(string) error
}

func notFound(what string) *api.Error {
	return &api.Error{Code: api.CodeNotFound, Message: "no " + what, Hint: "look"}
}

func (f *fake) Run(ctx context.Context) error {
	if f.run != nil {
		return f.run(ctx)
	}
	<-ctx.Done()
	return nil
}

func (f *fake) Info(context.Context) api.Info { return api.Info{Projects: 2} }

func (f *fake) Projects(context.Context) []api.Project {
	if f.projects == nil {
		return nil
	}
	return f.projects()
}

func (f *fake) AddProject(_ context.Context, req api.AddProject) (api.Project, error) {
	return f.addProject(req)
}

func (f *fake) RemoveProject(_ context.Context, ref string) error { return f.removeProject(ref) }

func (f *fake) PutSpec(_ context.Context, req api.PutSpec) (api.Image, error) { return f.putSpec(req) }

func (f *fake) ForgetSpec(_ context.Context, ref string) error { return f.forgetSpec(ref) }

func (f *fake) Disk(context.Context) (api.Disk, error) {
	return api.Disk{Kinds: []api.DiskKind{{Kind: "layers", Count: 2, Size: 30, Current: 1, CurrentSize: 10}}}, nil
}

func (f *fake) Prune(_ context.Context, req api.Prune) (api.Pruned, error) {
	return api.Pruned{DryRun: req.DryRun, Freed: []api.Freed{{Kind: "layers", Count: 1, Size: 20}}, Size: 20}, nil
}

func (f *fake) Images(context.Context) []api.Image {
	if f.images == nil {
		return nil
	}
	return f.images()
}

func (f *fake) FindImage(ctx context.Context, ref string) (api.Image, error) {
	return f.findImage(ctx, ref)
}

func (f *fake) WaitImage(ctx context.Context, ref string) (api.Image, error) {
	return f.waitImage(ctx, ref)
}

func (f *fake) StartBuild(_ context.Context, req api.StartBuild) (api.BuildList, error) {
	return f.startBuild(req)
}

func (f *fake) Builds(_ context.Context, project string, limit int) []api.Build {
	return f.builds(project, limit)
}

func (f *fake) Build(_ context.Context, id string) (api.Build, error) { return f.build(id) }

func (f *fake) WaitBuild(ctx context.Context, id string) (api.Build, error) {
	return f.waitBuild(ctx, id)
}

func (f *fake) CancelBuild(_ context.Context, id string) (api.Build, error) { return f.cancelBuild(id) }

func (f *fake) Log(ctx context.Context, id string, follow bool) (io.ReadCloser, error) {
	return f.log(ctx, id, follow)
}

func (f *fake) Events(since uint64) (<-chan api.Event, func()) { return f.events(since) }

func (f *fake) Explain(ctx context.Context, req api.Explain) (api.Explanation, error) {
	return f.explain(ctx, req)
}

// socketPath returns a path that is short enough in a directory that is ours alone.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "imgspecd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "d.sock")
}

// running is a daemon under test.
type running struct {
	socket string
	client *client.Client
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

func newDaemon(e daemon.Engine, socket string) *daemon.Daemon {
	return daemon.New(daemon.Deps{
		Engine: e, Config: &config.Config{Socket: socket, StateDir: "/state"},
		Log: slog.New(slog.DiscardHandler), Version: "9.9.9",
		Doctor: func(context.Context) (api.Doctor, error) {
			return api.Doctor{Checks: []api.Check{{Area: "uv", Level: api.LevelOK, Text: "uv 1"}}, Salt: "s", Environment: map[string]string{}}, nil
		},
	})
}

// launch runs a daemon without waiting for it.
func launch(t testing.TB, e daemon.Engine, socket string) *running {
	t.Helper()
	return run(t, newDaemon(e, socket), socket)
}

// hurried is serve with time limits of 200 ms.
func hurried(t testing.TB, e daemon.Engine) *running {
	t.Helper()
	socket := socketPath(t)
	d := newDaemon(e, socket)
	d.Hurry(200 * time.Millisecond)
	r := run(t, d, socket)
	r.answers(t)
	return r
}

func run(t testing.TB, d *daemon.Daemon, socket string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{socket: socket, client: client.New(socket), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = d.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
		r.client.Close()
	})
	return r
}

// serve runs a daemon until the test ends and returns when it answers.
func serve(t testing.TB, e daemon.Engine) *running {
	t.Helper()
	r := launch(t, e, socketPath(t))
	r.answers(t)
	return r
}

func (r *running) answers(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		_, err := r.client.Info(context.Background())
		if err == nil {
			return
		}
		select {
		case <-r.ended:
			t.Fatalf("the daemon ended: %v", r.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon does not answer: %v", err)
		}
	}
}

// stop ends the daemon and returns what Run returned.
func (r *running) stop(t testing.TB) error {
	t.Helper()
	r.cancel()
	select {
	case <-r.ended:
		return r.err
	case <-time.After(20 * time.Second):
		t.Fatal("the daemon does not stop")
		return nil
	}
}

// raw is a plain HTTP client on the socket.
func (r *running) raw() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", r.socket)
		},
	}}
}
