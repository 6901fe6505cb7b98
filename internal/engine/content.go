package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/store"
)

// A name does not see all that decides an image's content. What it does not see is
// listed by content, cheaply, at each reading. Only where that list is another than
// that of the ready image is the image planned, and only another plan counts.

// Made is what an image is built from, by its plan.
type Made struct {
	Plan     string // key
	Unbased  string // key without the base's digest
	Format   int
	Packages []store.Package
}

// madeOf sums up the plans for all platforms.
func madeOf(all []planned) Made {
	m := Made{Format: plan.Format}
	var plans, unbased []string
	for _, one := range all {
		bare := *one.plan
		bare.Base.Digest = ""
		plans, unbased = append(plans, one.plan.Key()), append(unbased, bare.Key())
		for _, l := range one.plan.Layers {
			for _, a := range l.Packages {
				if p := (store.Package{Name: a.Name, Version: a.Version}); l.Part <= 1 && !slices.Contains(m.Packages, p) {
					m.Packages = append(m.Packages, p)
				}
			}
		}
	}
	m.Plan, m.Unbased = keyOf(plans), keyOf(unbased)
	slices.SortFunc(m.Packages, func(a, b store.Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return m
}

// keyOf is one key for those of several plans, in their order.
func keyOf(keys []string) string {
	if len(keys) == 1 {
		return keys[0]
	}
	return digest([]byte(strings.Join(keys, "\n")))
}

// Plan says what an image would be built from now. See Runner.
func (p *Pipeline) Plan(ctx context.Context, s Spec) (Made, error) {
	ctx, cancel := context.WithTimeout(ctx, explainLimit)
	defer cancel()
	all, err := p.plans(ctx, s, known)
	if err != nil {
		return Made{}, err
	}
	if slices.ContainsFunc(all, func(one planned) bool { return pending(one.steps) }) {
		return Made{}, errPending
	}
	return madeOf(all), nil
}

// The kinds of what content lists; the rest of a key says which file or field.
const (
	partFile   = "file "
	partMode   = "mode "
	partField  = "field "
	partPython = "python"
	partBase   = "base"
	partNested = "nested base"
)

// unsure begins what is said when there is no plan to compare with.
const unsure = "what it would hold now is not known: "

// causeOfRebuild is why an image is made anew, in the words of Image.Differs.
func causeOfRebuild(differs []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(differs), func(d string) bool { return strings.HasPrefix(d, unsure) }), ", ")
}

// content lists what may change an image's content and does not enter its name.
func content(s Spec) map[string]string {
	c := map[string]string{}
	for _, in := range s.Named.Inputs {
		name := relTo(s.Dir, in.Path)
		if !in.Named {
			c[partFile+name] = cmp.Or(in.Digest, "directory")
		}
		if in.Mode != "" {
			c[partMode+name] = in.Mode
		}
	}
	if s.Fields.BaseImage() == "" && s.Named.Base == nil {
		c[partBase] = s.Policy.DefaultBase
	}
	if s.Fields.PythonVersion() == "" {
		c[partPython] = s.Python
	}
	for name, value := range fieldsOf(s.Fields.JSON()) {
		if !imagespec.Hashed(name, s.Flytekit) {
			c[partField+name] = conceal(string(value))
		}
	}
	return c
}

// fieldsOf splits a spec's JSON. What is compared with it may have been stored, which drops spaces.
func fieldsOf(raw json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	var dense bytes.Buffer
	if json.Compact(&dense, raw) != nil || json.Unmarshal(dense.Bytes(), &fields) != nil {
		return nil
	}
	return fields
}

// differences says in words how two contents differ.
func differences(before, now map[string]string) []string {
	all := maps.Clone(before)
	maps.Copy(all, now)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		a, b := before[key], now[key]
		if a == b {
			continue
		}
		kind, what, _ := strings.Cut(key, " ")
		switch {
		case key == partPython:
			out = append(out, fmt.Sprintf("Python %s became %s", cmp.Or(a, "of the base"), cmp.Or(b, "of the base")))
		case key == partBase:
			out = append(out, fmt.Sprintf("the default base image %s became %s", cmp.Or(a, "(none)"), cmp.Or(b, "(none)")))
		case key == partNested:
			out = append(out, "its base image was built again")
		case kind == "mode" && a != "" && b != "":
			out = append(out, fmt.Sprintf("the mode of %s changed from %s to %s", what, a, b))
		case kind == "mode": // the file came or went, which the name sees
		case a == "":
			out = append(out, what+" appeared")
		case b == "":
			out = append(out, what+" is gone")
		default:
			out = append(out, what+" changed")
		}
	}
	return out
}

// contentOf is content, with the image of a nested spec as it is now.
func (l *loop) contentOf(s Spec) map[string]string {
	c := content(s)
	if base := l.named(s.Needs); base != nil && base.view.Digest != "" {
		c[partNested] = base.view.Digest
	}
	return c
}

// compare finds out whether a ready image's content would be another if it were built now.
func (l *loop) compare(im *image) {
	spec, now := im.spec, l.contentOf(im.spec)
	im.asked++
	l.lookUp(im)
	if im.made == nil || im.made.Digest != im.view.Digest || maps.Equal(im.made.Content, now) {
		im.compared = im.asked // not of our making, or the same
		l.differ(im, nil)
		return
	}
	asked, was := im.asked, *im.made
	l.beside(func(ctx context.Context) func(*loop) {
		why, certain := l.e.differs(ctx, spec, was, now)
		return func(l *loop) {
			if l.images[spec.Label] != im || im.asked != asked {
				return
			}
			im.compared = asked
			if certain && len(why) == 0 {
				was.Content = now
				im.made = &was
				l.record.ready(was)
			}
			l.compared(im, why, certain)
		}
	})
}

// lookUp finds what the image was built from, and what was doubtful then.
func (l *loop) lookUp(im *image) {
	if im.made == nil || im.made.Name != im.view.Name {
		im.made = nil
		if rec, ok := l.e.deps.Records.ReadyImage(im.view.Name); ok {
			im.made = &rec
		}
	}
	im.view.Warnings = nil
	if im.made != nil && im.made.Digest == im.view.Digest {
		im.view.Warnings = im.made.Warnings
	}
}

// differs says why the content would differ from what it was, and whether that is certain.
func (e *Engine) differs(ctx context.Context, s Spec, was store.ReadyImage, now map[string]string) (why []string, certain bool) {
	m, err := e.deps.Runner.Plan(ctx, s)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, false
	case errors.Is(err, errPending):
		// What would be executed anew is known by what changed; that a base moved on alone is no reason.
		why := differences(was.Content, now)
		return why, len(why) > 0
	case err != nil:
		return append(differences(was.Content, now), unsure+toError(err).Message), false
	case m.Format != was.Format:
		return nil, false // another release made it: the keys tell nothing
	case m.Plan != was.Plan && (m.Unbased != was.Unbased || s.Needs != ""):
		return differences(was.Content, now), true
	}
	return nil, true
}

// compared takes in why a ready image's content would differ.
func (l *loop) compared(im *image, why []string, certain bool) {
	switch {
	case l.stopping:
	case im.view.State == api.Ready && len(why) > 0 && certain && im.spec.Policy.Rebuild == "auto":
		l.enqueue(im, causeOfRebuild(why), RunOptions{Force: true})
	case im.view.State == api.Ready:
		l.differ(im, why)
		l.tell(im) // to those that wait for the comparison
	default:
		l.tell(im)
	}
}

// differ shows why the content would differ.
func (l *loop) differ(im *image, why []string) {
	if !slices.Equal(im.view.Differs, why) {
		im.view.Differs = why
		l.tell(im)
	}
}

// comparing reports whether it is being found out whether the image's content would differ.
func (im *image) comparing() bool { return im.asked != im.compared }

// settle records what an image that a run has made ready was built from.
func (l *loop) settle(im *image, r *run, m Made) {
	im.asked++ // a comparison under way is with what was before
	im.compared = im.asked
	l.differ(im, nil)
	im.made = &store.ReadyImage{
		Name: r.build.Image, Digest: r.build.Digest, Label: im.spec.Label, At: l.now(),
		Plan: m.Plan, Unbased: m.Unbased, Format: m.Format, Packages: m.Packages, Content: l.contentOf(r.spec), Warnings: r.build.Warnings,
	}
	l.record.ready(*im.made)
	for _, o := range l.images { // those built on what was here before
		if o.spec.Needs == im.view.Name && o.view.State == api.Ready && !l.stopping {
			l.compare(o)
		}
	}
}
