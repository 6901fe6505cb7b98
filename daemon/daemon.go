// Package daemon is imgspecd's process and its door: a socket with an HTTP API.
//
// Run opens the socket (listen.go), or takes it from systemd, starts the engine,
// says it is ready, and serves. The routes stand in one table (server.go), with
// one file per resource; each handler checks its request, asks the engine, and
// writes what the engine said.
//
//	socket → peer's uid → route table → handler → Engine
//
// A second socket (dockersocket.go) is opened, guarded and removed like the first;
// what answers there is handed in.
//
// It stops in the other order: no new connections, streams end, answers under way
// are finished, the engine ends its builds, the socket goes.
//
// It never decides anything about images, and never removes a socket that
// another process made, unless it is proven dead.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
)

// Engine is what the daemon asks. Errors that are an *api.Error reach the client
// as they are; of others it sees the text under the code "internal".
type Engine interface {
	// Run owns the state until ctx ends; it returns when all builds have stopped.
	Run(ctx context.Context) error

	Info(ctx context.Context) api.Info
	Projects(ctx context.Context) []api.Project
	AddProject(ctx context.Context, req api.AddProject) (api.Project, error)
	RemoveProject(ctx context.Context, idOrDir string) error

	PutSpec(ctx context.Context, req api.PutSpec) (api.Image, error)
	ForgetSpec(ctx context.Context, ref string) error

	Disk(ctx context.Context) (api.Disk, error)
	// Prune waits until no build runs.
	Prune(ctx context.Context, req api.Prune) (api.Pruned, error)

	Images(ctx context.Context) []api.Image
	FindImage(ctx context.Context, ref string) (api.Image, error)
	// WaitImage returns when the state is final, or as it is when ctx ends.
	WaitImage(ctx context.Context, ref string) (api.Image, error)

	StartBuild(ctx context.Context, req api.StartBuild) (api.BuildList, error)
	Builds(ctx context.Context, project string, limit int) []api.Build
	Build(ctx context.Context, id string) (api.Build, error)
	// WaitBuild returns when the build has ended, or as it is when ctx ends.
	WaitBuild(ctx context.Context, id string) (api.Build, error)
	CancelBuild(ctx context.Context, id string) (api.Build, error)
	Log(ctx context.Context, id string, follow bool) (io.ReadCloser, error)

	// Events gives a "hello", then what happened since that number (both in the
	// channel already when Events returns), then what happens. The channel is
	// closed by stop and at the engine's end.
	Events(since uint64) (events <-chan api.Event, stop func())
	Explain(ctx context.Context, req api.Explain) (api.Explanation, error)
}

// Deps is what a daemon works with; all fields but Docker are required.
type Deps struct {
	Engine  Engine
	Doctor  func(context.Context) (api.Doctor, error) // looks at the machine
	Config  *config.Config
	Log     *slog.Logger
	Version string
	Docker  http.Handler // answers on the second socket; nil: there is none
}

// Daemon is one process serving its sockets.
type Daemon struct {
	deps    Deps
	started time.Time
	socket  string
	limits  limits
}

// New returns a daemon that does nothing until Run.
func New(d Deps) *Daemon {
	return &Daemon{deps: d, socket: d.Config.Socket, limits: usual}
}

// How long each part of stopping may take.
const (
	drainTime  = 3 * time.Second  // answers under way
	engineTime = 60 * time.Second // builds: they end at the next chunk, but a disk may be slow
)

// Run serves until ctx ends, then stops in order and returns nil. A socket that
// another daemon serves is a *LiveError.
func (d *Daemon) Run(ctx context.Context) error {
	d.started = time.Now()
	doors, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer doors.close() // they are closed already where the stop went in order
	d.socket = doors.own.path

	// Streams and waits end when the stop begins; everything else may finish.
	streams, endStreams := context.WithCancel(ctx)
	defer endStreams()
	// The engine outlives the door, so that what was asked is answered.
	engineCtx, endEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer endEngine()

	engineDone := make(chan error, 1)
	go func() { engineDone <- d.deps.Engine.Run(engineCtx) }()
	servers, served := d.serve(streams, doors)

	sd := newNotifier(d.deps.Log)
	sd.ready("serving on " + d.socket)
	go sd.watchdog(streams, d.alive)

	engineEnded := false
	var cause error
	select {
	case <-ctx.Done():
	case err := <-served:
		cause = fmt.Errorf("serve: %w", err)
	case err := <-engineDone:
		engineEnded = true
		if cause = err; cause == nil {
			cause = errors.New("the engine ended by itself")
		}
	}
	sd.stopping()
	d.deps.Log.Info("stopping")
	endStreams()
	d.drain(servers)
	endEngine()
	if !engineEnded {
		cause = errors.Join(cause, waitEngine(engineDone))
	}
	return cause
}

// serve answers at both doors; the doors themselves close last. An end of one comes through the channel.
func (d *Daemon) serve(streams context.Context, doors *doors) ([]*http.Server, <-chan error) {
	own, ended := d.httpServer(streams), make(chan error, 2)
	servers := []*http.Server{own}
	go func() { ended <- own.Serve(doors.own.UnixListener) }()
	at := []any{"socket", doors.own.path, "activated", doors.own.activated}
	if doors.docker != nil {
		docker := d.dockerServer(streams)
		servers = append(servers, docker)
		go func() { ended <- docker.Serve(doors.docker.UnixListener) }()
		at = append(at, "docker", doors.docker.path)
	}
	d.deps.Log.Info("serving", at...)
	return servers, ended
}

// drain stops accepting and lets the answers under way finish.
func (d *Daemon) drain(servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var all sync.WaitGroup
	for _, srv := range servers {
		all.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				d.deps.Log.Warn("some requests were cut off", "err", err)
				_ = srv.Close()
			}
		})
	}
	all.Wait()
}

func waitEngine(done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-time.After(engineTime):
		return errors.New("the builds under way did not stop in time")
	}
}

// httpServer wires the routes, the peer check and the time limits.
func (d *Daemon) httpServer(streams context.Context) *http.Server {
	return &http.Server{
		Handler:           d.handler(streams),
		ConnContext:       withPeer,
		ReadHeaderTimeout: d.limits.header,
		IdleTimeout:       d.limits.idle,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(d.deps.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(streams) },
	}
}

// alive reports whether the engine's loop still answers.
func (d *Daemon) alive(ctx context.Context) bool {
	answered := make(chan struct{})
	go func() {
		d.deps.Engine.Projects(ctx) // asks the loop, and no target
		close(answered)
	}()
	select {
	case <-answered:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
