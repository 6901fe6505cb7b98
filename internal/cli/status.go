package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

func (a *app) statusCmd() *cobra.Command {
	var watch, wide, disk bool
	cmd := &cobra.Command{
		Use:   "status [PROJECT|DIR]",
		Short: "Show each image: its state, since when, and where it is ready",
		Long: `Shows each image: its state, since when, where it is ready, and what it waits
for or why it failed. With -w it follows what happens until you press q; with
-w --json it prints an image, one per line, whenever one changes.`,
		Example: `  imgspecd status
  imgspecd status . -w
  imgspecd status --json | jq -r '.images[] | select(.state != "ready").label'`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			if disk {
				return a.showDisk(cmd.Context(), d)
			}
			s := &scope{d: d, arg: first(args), only: len(args) > 0}
			if watch {
				return a.followStatus(cmd.Context(), s, wide)
			}
			r, err := s.read(cmd.Context())
			if err != nil {
				return err
			}
			v := statusView{screen: a.out, now: a.Now(), wide: wide}
			return a.print(r, v.render(r))
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow what happens")
	cmd.Flags().BoolVar(&wide, "wide", false, "shorten nothing; show the targets too")
	cmd.Flags().BoolVar(&disk, "disk", false, "show what the state directory holds instead")
	cmd.MarkFlagsMutuallyExclusive("disk", "watch")
	return cmd
}

// scope is what part of the daemon's world a status shows.
type scope struct {
	d       Daemon
	arg     string // PROJECT|DIR
	only    bool   // show that alone
	project string // its ID, once read
}

// read takes a whole report.
func (s *scope) read(ctx context.Context) (report, error) {
	var r report
	var err error
	if r.Info, err = s.d.Info(ctx); err != nil {
		return r, err
	}
	if r.Projects, err = s.d.Projects(ctx); err != nil {
		return r, err
	}
	if r.Images, err = s.d.Images(ctx); err != nil {
		return r, err
	}
	if r.Projects == nil {
		r.Projects = []api.Project{}
	}
	if r.Images == nil {
		r.Images = []api.Image{}
	}
	if s.only {
		p, err := findProject(r.Projects, s.arg)
		if err != nil {
			return r, err
		}
		s.project = p.ID
		r.Projects, r.Images = []api.Project{p}, of(r.Images, p.ID)
	}
	return r, nil
}

// shows reports whether an event belongs to what is shown.
func (s *scope) shows(ev api.Event) bool {
	switch {
	case !s.only:
		return true
	case ev.Image != nil:
		return ev.Image.Project == s.project
	case ev.Project != nil:
		return ev.Project.ID == s.project
	case ev.Build != nil:
		return ev.Build.Project == s.project
	}
	return true
}

// apply brings a report up to date with one event.
func (r *report) apply(ev api.Event) {
	switch {
	case ev.Image != nil:
		for i := range r.Images {
			if r.Images[i].Label == ev.Image.Label {
				r.Images[i] = *ev.Image
				return
			}
		}
		r.Images = append(r.Images, *ev.Image)
	case ev.Project != nil:
		for i := range r.Projects {
			if r.Projects[i].ID == ev.Project.ID {
				r.Projects[i] = *ev.Project
				return
			}
		}
		r.Projects = append(r.Projects, *ev.Project)
	case ev.Removed != "":
		r.remove(ev.Removed)
	}
}

func (r *report) remove(what string) {
	projects, images := []api.Project{}, []api.Image{}
	for _, p := range r.Projects {
		if p.ID != what {
			projects = append(projects, p)
		}
	}
	for _, im := range r.Images {
		if im.Label != what && im.Project != what {
			images = append(images, im)
		}
	}
	r.Projects, r.Images = projects, images
}

// errStreamEnded is the end of a stream that nobody here ended.
var errStreamEnded = &exitError{exitNoDaemon, &api.Error{
	Code: api.CodeNoDaemon, Message: "the daemon ended", Hint: "start it again: imgspecd serve",
}}

// changes opens the event stream, then reads a report, and calls show first with
// that and then after each event with what it changed. It opens before it reads,
// so that nothing between the two is lost. When the daemon goes away it says so
// through lost, and reads anew once it is back.
func (s *scope) changes(ctx context.Context, show func(r report, ev *api.Event) error, lost func(error)) error {
	var r report
	opened := false
	for ev, err := range s.d.Events(ctx, client.EventsOptions{Resume: true}) {
		switch {
		case err != nil && (!opened || ctx.Err() != nil):
			return err
		case err != nil:
			lost(err)
			continue
		case ev.Kind == "hello" || ev.Kind == "gap" || !opened:
			opened = true
			if r, err = s.read(ctx); err != nil {
				return err
			}
			err = show(r, nil)
		case s.shows(ev):
			r.apply(ev)
			err = show(r, &ev)
		}
		if err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errStreamEnded
}

// followStatus shows changes until the user has seen enough: on a terminal as a
// live view, elsewhere as one line per change of state.
func (a *app) followStatus(ctx context.Context, s *scope, wide bool) error {
	switch {
	case a.json:
		return s.changes(ctx, a.showJSON, a.noteLoss)
	case a.out.tty:
		return a.liveStatus(ctx, s, wide)
	}
	said := map[string]string{}
	return s.changes(ctx, func(r report, _ *api.Event) error {
		for _, im := range r.Images {
			line := stateLine(a.out, im)
			if said[im.Label] == line {
				continue
			}
			said[im.Label] = line
			if _, err := fmt.Fprintln(a.Stdout, line); err != nil {
				return err
			}
		}
		return nil
	}, a.noteLoss)
}

func (a *app) noteLoss(err error) { a.note("%s", clean(err.Error())) }

// showJSON prints every image of a fresh report, then each that changes.
func (a *app) showJSON(r report, ev *api.Event) error {
	if ev != nil {
		if ev.Image == nil {
			return nil
		}
		return a.printLine(ev.Image)
	}
	var errs []error
	for _, im := range r.Images {
		errs = append(errs, a.printLine(im))
	}
	return errors.Join(errs...)
}

// stateLine is an image's state in one line of a log: LABEL STATE WHERE-OR-WHY.
func stateLine(s screen, im api.Image) string {
	v := statusView{screen: s}
	symbol, st := v.symbol(im.State)
	line := clean(im.Label) + "  " + s.paint(st, symbol+" "+string(im.State))
	switch {
	case im.State == api.Ready:
		line += "  " + clean(im.Name)
		for i, t := range readyIn(im.Targets) {
			if i == 0 {
				line += " in "
			} else {
				line += ", "
			}
			line += clean(t)
		}
	case im.Error != nil:
		line += "  " + clean(im.Error.Error())
	case (im.State == api.Waiting || im.State == api.Listed) && im.Detail != "":
		line += "  " + clean(im.Detail)
	default:
		line += "  " + clean(im.Name)
	}
	return line
}
