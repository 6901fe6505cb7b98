package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/store"
)

// past is what is known of an image and of the names that its spec had.
type past struct {
	spec     Spec
	content  map[string]string
	history  []store.Naming
	previous string
	differs  []string
}

// change says what is other in an image than in the one that its spec had before. Of
// a spec that had no other name, it says what is other than when its image was built.
func (e *Engine) change(p past, x api.Explanation) *api.Change {
	was, ok := formerly(p.history, x.Name)
	if !ok {
		i := slices.IndexFunc(p.history, func(n store.Naming) bool { return n.Name == x.Name && n.Ready })
		if i < 0 {
			return nil
		}
		was = p.history[i]
	}
	c := &api.Change{From: was.Name, Unseen: differences(was.Content, p.content)}
	if was.Name != x.Name {
		c.Fields = fieldChanges(was, p.spec)
		c.Files = fileChanges(was.Inputs, p.spec)
		c.Because = because(c, was, p.spec)
	}
	if was.Flytekit != p.spec.Flytekit && imagespec.Alike(was.Flytekit, p.spec.Flytekit) {
		c.Unseen = append(c.Unseen, fmt.Sprintf("flytekit %s became %s, which names images alike", was.Flytekit, p.spec.Flytekit))
	}
	if rec, ok := e.deps.Records.ReadyImage(was.Name); ok && x.PlanError == nil && x.Base != nil {
		c.Packages = packageChanges(rec.Packages, x.Packages)
	}
	if was.Name == x.Name && len(c.Unseen) == 0 && len(c.Packages) == 0 {
		return nil
	}
	return c
}

// fieldChanges lists the fields that flytekit hashes and that are not as they were.
func fieldChanges(was store.Naming, now Spec) []api.FieldChange {
	before, after := fieldsOf(was.Spec), fieldsOf(concealJSON(now.Fields.JSON())) // what is kept has no logins either
	var out []api.FieldChange
	for _, name := range imagespec.Fields() {
		a, b := before[name], after[name]
		if string(a) == string(b) || isNull(a) && isNull(b) || !imagespec.Hashed(name, now.Flytekit) {
			continue
		}
		out = append(out, api.FieldChange{Field: name, Before: a, Now: b})
	}
	return out
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// fileChanges lists the files that enter the name and are not as they were.
func fileChanges(was []api.Input, now Spec) []api.FileChange {
	before, after := map[string]string{}, map[string]string{}
	for _, in := range was {
		if in.Named {
			before[in.Path] = in.Digest
		}
	}
	for _, in := range now.Named.Inputs {
		if in.Named {
			after[in.Path] = in.Digest
		}
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	var out []api.FileChange
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if before[path] != after[path] {
			out = append(out, api.FileChange{Path: path, Before: before[path], Now: after[path]})
		}
	}
	return out
}

// because says in words what gave an image another name.
func because(c *api.Change, was store.Naming, now Spec) []string {
	var out []string
	for _, f := range c.Fields {
		switch {
		case isNull(f.Before):
			out = append(out, f.Field+" was added")
		case isNull(f.Now):
			out = append(out, f.Field+" was removed")
		default:
			out = append(out, f.Field+" changed")
		}
	}
	for _, f := range c.Files {
		path := relTo(now.Dir, f.Path)
		switch {
		case f.Before == "":
			out = append(out, path+" was added")
		case f.Now == "":
			out = append(out, path+" was removed")
		default:
			out = append(out, path+" changed")
		}
	}
	if was.Flytekit != now.Flytekit && !imagespec.Alike(was.Flytekit, now.Flytekit) {
		out = append(out, fmt.Sprintf("flytekit %s became %s, which names images otherwise", was.Flytekit, now.Flytekit))
	}
	if len(out) == 0 {
		out = append(out, "the files are the same, in another order or under other names")
	}
	return out
}

// packageChanges lists the packages that are not as they were; never nil.
func packageChanges(was []store.Package, now []api.Package) []api.PackageChange {
	before, after := map[string]string{}, map[string]string{}
	for _, p := range was {
		before[p.Name] = p.Version
	}
	for _, p := range now {
		after[p.Name] = p.Version
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	out := []api.PackageChange{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != after[name] {
			out = append(out, api.PackageChange{Name: name, Before: before[name], Now: after[name]})
		}
	}
	return out
}

// Explain tells what an image is made of, without building it, and what is other than before.
func (e *Engine) Explain(ctx context.Context, req api.Explain) (api.Explanation, error) {
	var of *past
	if req.Image != "" {
		var failed error
		err := e.do(ctx, func(l *loop) {
			im, err := l.find(req.Image)
			if err != nil {
				failed = err
				return
			}
			of = &past{spec: im.spec, content: l.contentOf(im.spec), history: im.history, previous: im.view.Previous, differs: im.view.Differs}
		})
		if err := firstError(err, failed); err != nil {
			return api.Explanation{}, err
		}
	}
	if of == nil {
		x, err := e.deps.Reader.Explain(ctx, req, nil)
		if err != nil {
			err = toError(err)
		}
		return x, err
	}
	x, err := e.deps.Reader.Explain(ctx, req, &of.spec)
	if err != nil {
		return x, toError(err)
	}
	x.Previous, x.Variables = of.previous, of.spec.Variables
	if x.Name == of.spec.Named.Name { // else it was asked how another flytekit would name it
		x.Differs = of.differs
		x.Change = e.change(*of, x)
		if x.Change != nil && x.Change.From != x.Name {
			x.Previous = x.Change.From
		}
	}
	return x, nil
}
