package cli

import (
	"bytes"
	"context"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
	"github.com/imgspecd/imgspecd/config"
)

// now is the time on every screen of the tests.
var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func before(d time.Duration) time.Time { return now.Add(-d) }

// fakeDaemon answers from its fields.
type fakeDaemon struct {
	Daemon
	report  report
	builds  map[string]api.Build
	log     string
	events  []api.Event // sent after hello
	start   func(api.StartBuild) (api.BuildList, error)
	explain func(api.Explain) (api.Explanation, error)
	wait    func(time.Duration) api.Image // Image with a wait
	added   []api.AddProject
	removed []string
	err     error
}

func (f *fakeDaemon) Info(context.Context) (api.Info, error) { return f.report.Info, f.err }
func (f *fakeDaemon) Disk(context.Context) (api.Disk, error) {
	return api.Disk{Dir: "/state", Kinds: []api.DiskKind{{Kind: "layers", Count: 12, Size: 900e6, Current: 8, CurrentSize: 600e6}}}, f.err
}
func (f *fakeDaemon) Prune(_ context.Context, req api.Prune) (api.Pruned, error) {
	return api.Pruned{DryRun: req.DryRun, Freed: []api.Freed{{Kind: "layers", Count: 4, Size: 300e6}}, Size: 300e6}, f.err
}
func (f *fakeDaemon) Projects(context.Context) ([]api.Project, error) {
	return f.report.Projects, f.err
}
func (f *fakeDaemon) Images(context.Context) ([]api.Image, error) { return f.report.Images, f.err }

func (f *fakeDaemon) Image(_ context.Context, ref string, wait time.Duration) (api.Image, error) {
	if f.err != nil {
		return api.Image{}, f.err
	}
	if wait != 0 && f.wait != nil {
		return f.wait(wait), nil
	}
	for _, im := range f.report.Images {
		if ref == im.Label || ref == im.Name || ref == im.Tag {
			return im, nil
		}
	}
	return api.Image{}, &api.Error{Code: api.CodeNotFound, Message: "no image " + ref}
}

func (f *fakeDaemon) Doctor(context.Context) (api.Doctor, error) { return examined(), f.err }

func (f *fakeDaemon) AddProject(_ context.Context, p api.AddProject) (api.Project, error) {
	f.added = append(f.added, p)
	if f.err != nil {
		return api.Project{}, f.err
	}
	for _, have := range f.report.Projects {
		if have.Dir == p.Dir {
			return have, nil
		}
	}
	return f.report.Projects[0], nil
}

func (f *fakeDaemon) RemoveProject(_ context.Context, id string) error {
	f.removed = append(f.removed, id)
	return f.err
}

func (f *fakeDaemon) ForgetSpec(_ context.Context, ref string) error {
	f.removed = append(f.removed, ref)
	return f.err
}

func (f *fakeDaemon) StartBuild(_ context.Context, b api.StartBuild) (api.BuildList, error) {
	return f.start(b)
}

func (f *fakeDaemon) Build(_ context.Context, id string) (api.Build, error) {
	if b, ok := f.builds[id]; ok {
		return b, nil
	}
	return api.Build{}, &api.Error{Code: api.CodeNotFound, Message: "no build " + id}
}

func (f *fakeDaemon) CancelBuild(ctx context.Context, id string) (api.Build, error) {
	return f.Build(ctx, id)
}

func (f *fakeDaemon) Log(context.Context, string, bool) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(f.log)), nil
}

func (f *fakeDaemon) Explain(_ context.Context, e api.Explain) (api.Explanation, error) {
	if f.explain == nil {
		return api.Explanation{}, f.err
	}
	return f.explain(e)
}

func (f *fakeDaemon) Events(ctx context.Context, _ client.EventsOptions) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		if f.err != nil {
			yield(api.Event{}, f.err)
			return
		}
		if !yield(api.Event{Seq: 1, Time: now, Kind: "hello"}, nil) {
			return
		}
		for i, ev := range f.events {
			ev.Seq, ev.Time = uint64(i+2), now
			if !yield(ev, nil) {
				return
			}
		}
		<-ctx.Done()
		yield(api.Event{}, ctx.Err())
	}
}

// result is what one run left behind.
type result struct {
	code        int
	out, stderr string
}

// cliRun runs a command line against a fake daemon on a screen of the given width.
func cliRun(t *testing.T, f *fakeDaemon, env map[string]string, args ...string) result {
	t.Helper()
	return cliRunCtx(t.Context(), t, f, env, args...)
}

func cliRunCtx(ctx context.Context, t *testing.T, f *fakeDaemon, env map[string]string, args ...string) result {
	t.Helper()
	var out, stderr bytes.Buffer
	home := t.TempDir()
	code := run(ctx, Deps{
		Args: args, Stdin: strings.NewReader(env["STDIN"]), Stdout: &out, Stderr: &stderr, Version: "1.4.0",
		Getenv: func(k string) string {
			if k == "HOME" || k == "XDG_RUNTIME_DIR" {
				return home
			}
			return env[k]
		},
		Now:     func() time.Time { return now },
		Connect: func(*config.Config) Daemon { return f },
	})
	return result{code, out.String(), stderr.String()}
}

var noDaemon = &api.Error{
	Code: api.CodeNoDaemon, Message: "no imgspecd daemon is running (nothing answers at /run/x.sock)", Hint: "start it with: imgspecd serve",
}
