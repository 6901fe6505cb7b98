package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

// settle is what imgspecd waits for more changes after one, before it believes it: not work, but manners.
const settle = 150 * time.Millisecond

// ours is an imgspecd daemon with a state directory of its own.
type ours struct {
	*client.Client
	m     machine
	scale *scale
	dir   string
	cmd   *exec.Cmd
	ended chan error
}

// startOurs starts a daemon that knows nothing, or only the wheels in a directory.
func startOurs(ctx context.Context, m machine, s *scale, wheels string) (*ours, error) {
	dir, err := os.MkdirTemp(m.work, "imgspecd-")
	if err != nil {
		return nil, err
	}
	o := &ours{Client: client.New(filepath.Join(dir, "run", "s")), m: m, scale: s, dir: dir}
	if wheels != "" {
		if err := os.MkdirAll(o.state(), 0o700); err != nil {
			return nil, err
		}
		if err := os.CopyFS(o.wheels(), os.DirFS(wheels)); err != nil {
			return nil, err
		}
	}
	return o, o.start(ctx)
}

func (o *ours) state() string  { return filepath.Join(o.dir, "state") }
func (o *ours) wheels() string { return filepath.Join(o.state(), "wheels") }

func (o *ours) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(o.dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	o.cmd = exec.CommandContext(ctx, o.m.binary, "serve")
	o.cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "IMGSPECD_") || strings.HasPrefix(kv, "DOCKER_") || strings.HasPrefix(kv, "XDG_")
	})
	o.cmd.Env = append(o.cmd.Env, "HOME="+o.dir, "IMGSPECD_STATE_DIR="+o.state(), "IMGSPECD_SOCKET="+o.Socket, "IMGSPECD_DOCKER_USE=never", "IMGSPECD_BYTECODE="+o.m.bytecode)
	o.cmd.Stdout, o.cmd.Stderr = log, log
	if err := o.cmd.Start(); err != nil {
		return err
	}
	o.ended = make(chan error, 1)
	go func() { o.ended <- o.cmd.Wait() }()
	for range 400 {
		if _, err := o.Info(ctx); err == nil {
			return nil
		}
		select {
		case err := <-o.ended:
			return fmt.Errorf("imgspecd serve ended (%w), see %s", err, log.Name())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("imgspecd does not answer, see " + log.Name())
}

// stop ends the daemon; its state stays.
func (o *ours) stop() error {
	o.Close()
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-o.ended
}

// remove deletes what a stopped daemon has left.
func (o *ours) remove() error { return os.RemoveAll(o.dir) }

// until runs act, then waits for the event that says an image of another name than old is ready. The time is from the
// end of act, which saves the lock, to that event.
func (o *ours) until(ctx context.Context, old string, act func() error) (api.Image, sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	o.scale.take()
	start := make(chan time.Time, 1)
	var s sample
	for e, err := range o.Events(ctx, client.EventsOptions{}) {
		if err != nil {
			return api.Image{}, s, err
		}
		if e.Kind == "hello" { // we are heard from here on
			if err := act(); err != nil {
				return api.Image{}, s, err
			}
			start <- time.Now()
			continue
		}
		if e.Image == nil || e.Image.Name == old {
			continue
		}
		switch e.Image.State {
		case api.Failed:
			return *e.Image, s, fmt.Errorf("%s failed: %w", e.Image.Name, e.Image.Error)
		case api.Ready:
			if t, ok := e.Image.InTarget("registry"); !ok || t.State != api.Ready {
				return *e.Image, s, fmt.Errorf("%s is not ready in the registry: %+v", e.Image.Name, e.Image.Targets)
			}
			s.took, s.sent, s.memory = time.Since(<-start), o.scale.take(), memory(o.cmd.Process.Pid, "VmHWM")
			return *e.Image, s, nil
		}
	}
	return api.Image{}, s, errors.New("the events ended")
}

// force makes the layers of a project that the daemon does not know yet.
func (o *ours) force(ctx context.Context, proj *project) (api.Image, error) {
	if _, err := o.AddProject(ctx, api.AddProject{Dir: proj.dir}); err != nil {
		return api.Image{}, err
	}
	images, err := o.Images(ctx)
	if err != nil || len(images) != 1 {
		return api.Image{}, fmt.Errorf("%d images (%w)", len(images), err)
	}
	// The registry has this image, so it is ready there; what is asked for is the layers.
	if _, err := o.StartBuild(ctx, api.StartBuild{Image: images[0].Label, Force: true}); err != nil {
		return api.Image{}, err
	}
	return o.Image(ctx, images[0].Label, 5*time.Minute)
}

// stats returns what an image's last build cost, by the daemon's own account.
func (o *ours) stats(ctx context.Context, img api.Image) (api.Stats, error) {
	b, err := o.Build(ctx, img.Build)
	return b.Stats, err
}

// answers times n questions for a ready image and returns the median and the 99th percentile.
func (o *ours) answers(ctx context.Context, label string, n int) (p50, p99 time.Duration, err error) {
	times := make([]time.Duration, n)
	for i := range times {
		start := time.Now()
		if _, err := o.Image(ctx, label, 0); err != nil {
			return 0, 0, err
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[n/2], times[n*99/100], nil
}
