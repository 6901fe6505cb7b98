package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

func (a *app) buildCmd() *cobra.Command {
	var force, push, refresh, noWait, noDaemon, cancel bool
	wait, timeout := true, ""
	cmd := &cobra.Command{
		Use:   "build [IMAGE|DIR]",
		Short: "Build now, and print the reference when it is ready",
		Long: `Builds one image, or all of a project (default: the one around this directory),
and prints the references of those that are ready. What is ready already is not
built again. --no-daemon does the whole job in this process, for CI. --cancel ends
the builds that are under way instead; what they have made is kept.`,
		Example: `  imgspecd build
  imgspecd build churn-model/train --push
  imgspecd build --no-daemon . --timeout=10m`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, err := duration("--timeout", timeout)
			if err != nil {
				return err
			}
			j := &job{req: api.StartBuild{Force: force, Push: push, Refresh: refresh}}
			if cancel && (noDaemon || force || push || refresh || noWait) {
				return usage("--cancel goes with no other flag of build")
			}
			if noDaemon {
				return a.buildHere(cmd, j, first(args), limit)
			}
			if j.d, err = a.daemon(); err != nil {
				return err
			}
			if err := j.aim(cmd.Context(), first(args)); err != nil {
				return err
			}
			if cancel {
				return a.cancel(cmd.Context(), j)
			}
			if noWait || !wait {
				return a.start(cmd.Context(), j)
			}
			return a.build(cmd.Context(), j, limit)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&force, "force", false, "build even what is ready; layers that exist are used again")
	f.BoolVar(&refresh, "refresh", false, "take anew what depends on the day: what no lock pins (packages, requirements.txt), and what apt and conda install")
	f.BoolVar(&push, "push", false, "push to the registry even if registry.push is on-request")
	f.BoolVar(&wait, "wait", true, "wait until the images are ready")
	f.BoolVar(&noWait, "no-wait", false, "start the builds, print their IDs, and do not wait")
	f.StringVar(&timeout, "timeout", "", "wait at most so long (e.g. 10m); the daemon goes on building")
	f.BoolVar(&cancel, "cancel", false, "end the builds under way instead")
	f.BoolVar(&noDaemon, "no-daemon", false, "do the whole job in this process; the argument is a directory")
	return cmd
}

// aim says what IMAGE|DIR means to the daemon.
func (j *job) aim(ctx context.Context, arg string) error {
	if !saysDir(arg) {
		im, err := j.d.Image(ctx, arg, 0)
		if err == nil {
			j.req.Image = im.Label
			return nil
		}
		st, statErr := os.Stat(arg)
		if !isNotFound(err) || statErr != nil || !st.IsDir() {
			return err
		}
	}
	dir, err := absolute(arg)
	j.req.Dir = dir
	return err
}

// start starts builds without waiting for them.
func (a *app) start(ctx context.Context, j *job) error {
	list, err := j.d.StartBuild(ctx, j.req)
	if err != nil {
		return err
	}
	text := ""
	for _, b := range list.Builds {
		text += clean(b.ID) + "\n"
	}
	if !a.json {
		for _, im := range list.Images {
			a.note("%s", stateLine(a.err, im))
		}
	}
	return a.print(withLists(list), text)
}

// cancel ends the builds under way of what a job is about.
func (a *app) cancel(ctx context.Context, j *job) error {
	images, err := j.images(ctx)
	if err != nil {
		return err
	}
	list := withLists(api.BuildList{})
	seen := map[string]bool{}
	for _, im := range images {
		if im.State.Final() || im.Build == "" || seen[im.Build] {
			continue
		}
		seen[im.Build] = true
		b, err := j.d.CancelBuild(ctx, im.Build)
		if err != nil {
			return err
		}
		list.Builds = append(list.Builds, b)
		if !a.json {
			a.note("%s", strings.TrimSuffix(statusView{screen: a.err, now: a.Now()}.part(part{label: b.Label, build: &b}), "\n"))
		}
	}
	if len(list.Builds) == 0 && !a.json {
		a.note("nothing is being built")
	}
	return a.print(list, "")
}

// images are those that a job is about.
func (j *job) images(ctx context.Context) ([]api.Image, error) {
	if j.req.Image != "" {
		im, err := j.d.Image(ctx, j.req.Image, 0)
		return []api.Image{im}, err
	}
	_, images, err := inDir(ctx, j.d, j.req.Dir)
	return images, err
}

// buildHere does the whole job with an engine in this process.
func (a *app) buildHere(cmd *cobra.Command, j *job, arg string, limit time.Duration) (err error) {
	dir, err := absolute(arg)
	if err != nil {
		return err
	}
	d, end, err := a.local(cmd, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	j.d, j.here, j.req.Dir = d, true, dir
	cfg, _, err := a.config(dir)
	if err != nil {
		return err
	}
	j.logs = filepath.Join(cfg.StateDir, "logs")
	req, err := a.recorded(cmd.Context(), d, api.AddProject{Dir: dir})
	if err != nil {
		return err
	}
	p, err := d.AddProject(cmd.Context(), req)
	if err != nil {
		return err
	}
	if p.Error != nil {
		return p.Error
	}
	if !a.json {
		for _, u := range p.Unreadable {
			fmt.Fprint(a.Stderr, a.err.para(a.err.paint(warn, a.err.warn)+" ", normal, unreadableLine("", u)))
		}
	}
	return a.build(cmd.Context(), j, limit)
}

// build starts builds, shows them until they end, and prints the references.
func (a *app) build(ctx context.Context, j *job, limit time.Duration) error {
	wait := ctx
	if limit > 0 && limit < forever {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	err := a.watchJob(wait, j)
	if ctx.Err() == nil && wait.Err() != nil {
		return errTimeout(j.goesOn(), "not ready after %s", span(limit))
	}
	if ctx.Err() != nil && len(j.parts) > 0 {
		return &exitError{exitInterrupted, &api.Error{
			Code: api.CodeCanceled, Message: "interrupted", Hint: j.goesOn(),
		}}
	}
	if err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(withLists(j.list())); err != nil {
			return err
		}
	} else {
		for _, ref := range j.refs() {
			if _, err := fmt.Fprintln(a.Stdout, clean(ref)); err != nil {
				return err
			}
		}
	}
	if code := j.code(); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// watchJob follows a job to its end: drawn on a terminal, told line by line elsewhere.
func (a *app) watchJob(ctx context.Context, j *job) error {
	switch {
	case a.json:
		return j.run(ctx, func() {})
	case a.err.tty:
		m := &live{}
		return a.show(ctx, a.err, m, false, func(ctx context.Context, send func(scene)) error {
			return j.run(ctx, func() { send(j.scene()) })
		})
	}
	said := map[string]string{}
	return j.run(ctx, func() {
		v := statusView{screen: a.err, now: a.Now()}
		for _, p := range j.parts {
			if text := v.part(p); p.name()+string(p.state()) != said[p.label] {
				said[p.label] = p.name() + string(p.state())
				fmt.Fprint(a.Stderr, text)
			}
			for _, step := range p.image.Progress {
				if key := p.label + " " + step.Target; step.Step == executeStep && said[key] == "" {
					said[key] = "begun"
					fmt.Fprintln(a.Stderr, "  "+v.step(p.image, api.Progress{Step: step.Step, Target: step.Target}))
				}
			}
		}
	})
}

// withLists makes JSON lists of lists that are missing.
func withLists(l api.BuildList) api.BuildList {
	if l.Builds == nil {
		l.Builds = []api.Build{}
	}
	return l
}

// run starts the job and calls seen after each change, until all of it has ended.
// The event stream is opened first, so that no change is missed.
func (j *job) run(ctx context.Context, seen func()) error {
	started := false
	for ev, err := range j.d.Events(ctx, client.EventsOptions{}) {
		if err != nil {
			return err
		}
		switch {
		case !started:
			started, err = true, j.start(ctx)
		case ev.Kind == "gap":
			err = j.reread(ctx)
		default:
			j.apply(ev)
		}
		if err != nil {
			return err
		}
		seen()
		if j.done() {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errStreamEnded
}
