package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/cli"
	"github.com/imgspecd/imgspecd/internal/engine"
)

// quiet keeps a single command's engine from writing between the command's own lines:
// what matters of a build is in its log.
var quiet = slog.New(slog.DiscardHandler)

// local runs an engine in this process for one command. It uses the daemon's
// state directory, so it needs the daemon not to run.
func local(ctx context.Context, cfg *config.Config) (cli.Daemon, func() error, error) {
	p, err := assemble(cfg, quiet, true)
	if err != nil {
		return nil, nil, err
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- p.engine.Run(own) }()
	stop := func() error {
		p.engine.Drain(ctx)
		cancel()
		return errors.Join(<-ended, p.close())
	}
	return inProcess{p.engine, cfg}, stop, nil
}

// explain names a spec in this process and, if the state directory is free, plans it too.
func explain(ctx context.Context, cfg *config.Config, req api.Explain) (api.Explanation, error) {
	p, err := assemble(cfg, quiet, true)
	var failed *api.Error
	switch {
	case errors.As(err, &failed) && failed.Code == api.CodeConflict: // a daemon has the state directory: the name needs none
		r := &engine.ProjectReader{Machine: machine(), Settings: settings(cfg), Locks: &engine.Locks{}}
		return r.Explain(ctx, req, nil)
	case err != nil:
		return api.Explanation{}, err
	}
	x, err := p.reader.Explain(ctx, req, nil)
	return x, errors.Join(err, p.close())
}

// inProcess is an engine as the command line asks a daemon.
type inProcess struct {
	*engine.Engine
	cfg *config.Config
}

var _ cli.Daemon = inProcess{}

func (e inProcess) Info(ctx context.Context) (api.Info, error) { return e.Engine.Info(ctx), nil }

func (e inProcess) Doctor(ctx context.Context) (api.Doctor, error) {
	return examine(ctx, e.cfg, e.Engine.Images(ctx), nil)
}

func (e inProcess) Projects(ctx context.Context) ([]api.Project, error) {
	return e.Engine.Projects(ctx), nil
}

func (e inProcess) Images(ctx context.Context) ([]api.Image, error) { return e.Engine.Images(ctx), nil }

func (e inProcess) Builds(ctx context.Context, project string, limit int) ([]api.Build, error) {
	return e.Engine.Builds(ctx, project, limit), nil
}

func (e inProcess) Image(ctx context.Context, ref string, wait time.Duration) (api.Image, error) {
	if wait <= 0 {
		return e.FindImage(ctx, ref)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return e.WaitImage(ctx, ref)
}

func (e inProcess) Events(ctx context.Context, o client.EventsOptions) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		events, stop := e.Engine.Events(o.Since)
		defer stop()
		for {
			select {
			case ev, open := <-events:
				if !open || !yield(ev, nil) {
					return
				}
			case <-ctx.Done():
				yield(api.Event{}, ctx.Err())
				return
			}
		}
	}
}
