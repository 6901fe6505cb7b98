package engine

import (
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/store"
)

// image is one image spec and how it stands. Owned by the loop.
type image struct {
	spec     Spec
	view     api.Image // its slices are replaced, never written: copies of it are out
	badSince time.Time // when its input was first found wrong; zero: it is not
	again    *time.Timer
	retries  int
	history  []store.Naming    // the names it had, the newest last
	made     *store.ReadyImage // what the ready image was built from; nil: not known, or not looked up
	asked    int               // comparisons of its content begun
	compared int               // the last one that has ended
	asking   bool              // the targets are being asked
	onBase   bool              // it failed for want of its base
	lost
}

// step is what a new reading of a spec asks for.
type step int

const (
	keep   step = iota // nothing that matters has changed
	lack               // an input is not there: its coming is a hint
	await              // the input looks half written: look again soon
	refuse             // the input is wrong
	verify             // another name, or not known to be ready: ask the targets, then build
	list               // it is left to another builder
)

// decide says what to do about a spec that has just been read. It is the rule of
// the house: the name decides.
func decide(old *image, now Spec, at time.Time, grace time.Duration) step {
	if now.Listed != "" {
		return list
	}
	if now.Err != nil && now.Missing {
		return lack
	}
	if now.Err != nil {
		fresh := grace > 0 && (old == nil || old.badSince.IsZero() || at.Sub(old.badSince) < grace)
		if now.Half && fresh {
			return await
		}
		return refuse
	}
	if old == nil || old.view.Name != now.Named.Name {
		return verify
	}
	switch old.view.State {
	case api.Ready, api.Queued, api.Building, api.Publishing:
		return keep
	case api.Failed, api.Canceled:
		if sameInputs(old.spec, now) && old.badSince.IsZero() {
			return keep // it would fail again; a request or the retry timer tries it
		}
	}
	return verify
}

// adopt makes the image be what was read, keeping what was known of it.
func (im *image) adopt(now Spec) {
	v := &im.view
	named := now.Err == nil || now.Mismatch != nil || now.Unknown
	if named && v.Name != "" && v.Name != now.Named.Name {
		v.Previous, v.Digest, v.Targets, v.Progress, v.Build = v.Name, "", nil, nil, ""
		v.Differs, v.Warnings = nil, nil
		im.retries, im.lost = 0, lost{checking: im.checking}
	}
	im.spec = now
	v.Project, v.Dir, v.Label, v.Source = now.Project, now.Dir, now.Label, now.Source
	v.Registry, v.Platform = now.Fields.Registry(), now.Fields.Platform()
	v.Base, v.BaseOf, v.Mismatch, v.NamedBy = now.Needs, now.BaseOf, now.Mismatch, ""
	if now.ByRun {
		v.NamedBy = "run"
	}
	if named {
		v.Name, v.Tag, v.ID = now.Named.Name, now.Named.Tag, now.Named.ID
	}
	if now.Err == nil {
		im.badSince = time.Time{}
	}
}

// set moves the image to a state and says whether anything a person sees changed.
func (im *image) set(s api.State, detail string, err *api.Error, at time.Time) bool {
	v := &im.view
	if v.State == s && v.Detail == detail && v.Error == err {
		return false
	}
	if v.State != s {
		v.Since = at.UTC()
	}
	v.State, v.Detail, v.Error = s, detail, err
	if s.Final() {
		v.Progress = nil
	}
	return true
}

// withTarget returns targets with t in the place of the one of that name; a copy.
func withTarget(targets []api.TargetState, t api.TargetState) []api.TargetState {
	out := make([]api.TargetState, 0, len(targets)+1)
	seen := false
	for _, o := range targets {
		if o.Name == t.Name {
			o, seen = t, true
		}
		out = append(out, o)
	}
	if !seen {
		out = append(out, t)
	}
	return out
}

// withProgress is withTarget for progress.
func withProgress(all []api.Progress, p api.Progress) []api.Progress {
	out := make([]api.Progress, 0, len(all)+1)
	seen := false
	for _, o := range all {
		if o.Step == p.Step && o.Target == p.Target {
			o, seen = p, true
		}
		out = append(out, o)
	}
	if !seen {
		out = append(out, p)
	}
	return out
}
