package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// job is what one `imgspecd build` asked for, and how far it is.
type job struct {
	d     Daemon
	here  bool   // the engine is in this process, and ends with it
	logs  string // of here: the directory of the builds' logs
	req   api.StartBuild
	parts []part
}

// goesOn says what becomes of a job that is not waited for any longer.
func (j *job) goesOn() string {
	if j.here {
		return "what was made is kept; run it again to go on from there"
	}
	return "the daemon goes on with it: imgspecd status -w"
}

// part is one image of a job.
type part struct {
	label string
	logs  string     // as in job
	build *api.Build // the newest of it; nil where none was needed or possible
	image api.Image  // as last heard; its zero value until then
}

func (p part) state() api.State {
	if p.build != nil {
		return p.build.State
	}
	return p.image.State
}

func (p part) name() string {
	if p.build != nil {
		return p.build.Image
	}
	return p.image.Name
}

// done reports whether nothing more is to come. A superseded build has a successor, which is waited for.
func (p part) done() bool {
	return p.build == nil || (p.build.State.Final() && p.build.State != api.Superseded)
}

func (j *job) start(ctx context.Context) error {
	list, err := j.d.StartBuild(ctx, j.req)
	if err != nil {
		return err
	}
	for _, b := range list.Builds {
		j.parts = append(j.parts, part{label: b.Label, logs: j.logs, build: &b})
	}
	for _, im := range list.Images {
		j.parts = append(j.parts, part{label: im.Label, logs: j.logs, image: im})
	}
	if len(j.parts) > 0 || j.req.Dir == "" {
		return nil
	}
	p, _, err := inDir(ctx, j.d, j.req.Dir)
	if err != nil {
		return err
	}
	return noImage(p)
}

// apply takes in one event. A newer build of the same spec takes an older one's place.
func (j *job) apply(ev api.Event) {
	for i := range j.parts {
		p := &j.parts[i]
		switch {
		case p.build == nil:
		case ev.Build != nil && ev.Build.Label == p.label:
			if ev.Build.ID == p.build.ID || ev.Build.Created.After(p.build.Created) {
				p.build = ev.Build
			}
		case ev.Image != nil && ev.Image.Label == p.label:
			p.image = *ev.Image
		case ev.Removed != "" && (ev.Removed == p.label || ev.Removed == p.build.Project):
			gone := *p.build
			if !gone.State.Final() || gone.State == api.Superseded {
				gone.State, gone.Detail = api.Canceled, "its spec is no more"
			}
			p.build = &gone
		}
	}
}

// reread asks for what lost events may have said.
func (j *job) reread(ctx context.Context) error {
	for i := range j.parts {
		p := &j.parts[i]
		if p.done() {
			continue
		}
		im, err := j.d.Image(ctx, p.label, 0)
		if err != nil {
			return err
		}
		p.image = im
		id := p.build.ID
		if im.Build != "" {
			id = im.Build
		}
		b, err := j.d.Build(ctx, id)
		if err != nil {
			return err
		}
		p.build = &b
	}
	return nil
}

func (j *job) done() bool {
	for _, p := range j.parts {
		if !p.done() {
			return false
		}
	}
	return true
}

// refs are the references that are ready.
func (j *job) refs() []string {
	var refs []string
	for _, p := range j.parts {
		if p.state() == api.Ready {
			refs = append(refs, p.name())
		}
	}
	return refs
}

// list is the job as the API says it.
func (j *job) list() api.BuildList {
	var l api.BuildList
	for _, p := range j.parts {
		if p.build != nil {
			l.Builds = append(l.Builds, *p.build)
		} else {
			l.Images = append(l.Images, p.image)
		}
	}
	return l
}

// code is the exit code: what failed counts more than what is not ready.
func (j *job) code() int {
	code := exitOK
	for _, p := range j.parts {
		switch p.state() {
		case api.Ready, api.Listed:
		case api.Failed, api.Canceled:
			return exitFailed
		default:
			code = exitNotReady
		}
	}
	return code
}

// scene is the job as the live view draws it.
func (j *job) scene() scene {
	parts := append([]part{}, j.parts...)
	s := scene{draw: func(v statusView) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(v.part(p))
		}
		return b.String()
	}}
	for _, p := range parts {
		s.images = append(s.images, p.image)
	}
	return s
}

// part writes one image of a job: a line of what it is at, and lines of how far or why.
func (v statusView) part(p part) string {
	symbol, st := v.symbol(p.state())
	lead := v.paint(st, symbol) + " "
	head := v.paint(strong, clean(p.label)) + "  " + v.paint(st, string(p.state()))
	if p.build == nil {
		text := head + "  already in " + strings.Join(readyIn(p.image.Targets), ", ")
		if p.image.State != api.Ready {
			text = head
		}
		return v.para(lead, normal, text) + v.below(p.image)
	}
	b := p.build
	switch {
	case b.State == api.Ready:
		return v.para(lead, normal, head+" "+v.cost(*b)) + v.below(api.Image{Label: p.label, State: api.Ready, Targets: b.Targets, Warnings: b.Warnings})
	case b.State.Final():
		im := api.Image{Label: p.label, State: b.State, Error: b.Error, Detail: b.Detail, Targets: b.Targets}
		text := v.para(lead, normal, head)
		switch {
		case p.logs == "": // a daemon can be asked for the log
			im.Build = b.ID
			return text + v.below(im)
		case b.Error != nil && len(b.Error.Output) > 0:
			return text + v.below(im) + v.hint("  ", "the whole output: "+clean(filepath.Join(p.logs, b.ID+".log")))
		}
		return text + v.below(im)
	}
	if b.Started != nil {
		head += "  " + v.paint(quiet, upTime(v.now.Sub(*b.Started)))
	}
	if b.Cause != "" {
		head += "  " + v.paint(quiet, clean(b.Cause))
	}
	text := v.para(lead, normal, head)
	if p.image.Build == b.ID && v.live {
		text += v.progress(p.image)
	}
	return text
}

// cost says where a build got its image to, and at what price.
func (v statusView) cost(b api.Build) string {
	text := "in " + clean(strings.Join(readyIn(b.Targets), ", "))
	s := b.Stats
	if s.TotalMS > 0 {
		text += " after " + span(time.Duration(s.TotalMS)*time.Millisecond)
	}
	var parts []string
	if s.Layers > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s made", s.LayersMade, count(s.Layers, "layer")))
	}
	if s.LayersShared > 0 {
		parts = append(parts, fmt.Sprintf("%d from the team cache", s.LayersShared))
	}
	if s.FetchedBytes > 0 {
		parts = append(parts, size(s.FetchedBytes)+" fetched")
	}
	if s.SentBytes > 0 {
		parts = append(parts, size(s.SentBytes)+" sent")
	}
	if len(parts) > 0 {
		text += v.sep + strings.Join(parts, ", ")
	}
	return text
}
