package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/resolve"
)

// Packages without a lock go into the environment that the base has for them, if it has one. What comes out depends on
// what is in it; so for each image that is made here it is noted, by the image's digest.

// Insides keeps what is in the images that were made here.
type Insides interface {
	Installed(digest string) ([]byte, bool)
	PutInstalled(digest string, b []byte) error
}

// installed is a directory of packages in an image.
type installed struct {
	Packages []lockfile.Artifact // sorted by name
	Layers   []string            // diffIDs of the layers that hold it, and nothing else
	Indexes  []string            // where they were looked for

	// foreign: it is read from the image, and not noted. Of a package only name and version are known then.
	foreign bool
}

// inside is an image's environments, by their directories; those that are not known are not there.
func (p *Pipeline) inside(digest string) map[string]*installed {
	if p.Insides == nil {
		return nil
	}
	b, ok := p.Insides.Installed(digest)
	var in map[string]*installed
	if !ok || json.Unmarshal(b, &in) != nil {
		return nil
	}
	return in
}

// remember notes what is in an image that was made.
func (p *Pipeline) remember(s Spec, pl *plan.Plan, img v1.Image) error {
	if p.Insides == nil {
		return nil
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("read %s: %w", pl.Name, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("digest of %s: %w", pl.Name, err)
	}
	in := map[string]*installed{}
	maps.Copy(in, p.inside(pl.Base.Digest))
	prefix := plan.Prefix(s.Fields)
	if plan.OnConda(s.Fields, pl.Base) {
		delete(in, prefix) // it is read from the image
	} else if in[prefix], err = p.note(s, pl, cfg, in[prefix]); err != nil {
		return err
	}
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("note what is in %s: %w", pl.Name, err)
	}
	return p.Insides.PutInstalled(digest.String(), b)
}

// note says what is in the environment that an image was made with; before is what was in its base's.
func (p *Pipeline) note(s Spec, pl *plan.Plan, cfg *v1.ConfigFile, before *installed) (*installed, error) {
	now := &installed{}
	if before != nil {
		now.Indexes = slices.Clone(before.Indexes)
	}
	if !s.isLock() {
		r, err := s.request()
		if err != nil {
			return nil, err
		}
		now.Indexes = append(now.Indexes, p.Resolver.Indexes(r)...)
		slices.Sort(now.Indexes)
		now.Indexes = slices.Compact(now.Indexes)
	}
	ids := cfg.RootFS.DiffIDs[len(cfg.RootFS.DiffIDs)-len(pl.Layers):]
	for i, l := range pl.Layers {
		if l.Kind != plan.Venv && l.Kind != plan.Packages {
			continue
		}
		now.Layers = append(now.Layers, ids[i].String())
		if l.Part <= 1 {
			for _, a := range l.Packages {
				now.Packages = append(now.Packages, a.WithoutLogin()) // what is kept holds no password
			}
		}
	}
	slices.SortFunc(now.Packages, func(a, b lockfile.Artifact) int { return strings.Compare(a.Name, b.Name) })
	return now, nil
}

// pins is what is in the environment, for the resolver.
func (e *installed) pins() []resolve.Pin {
	if e == nil {
		return nil
	}
	out := make([]resolve.Pin, 0, len(e.Packages))
	for _, a := range e.Packages {
		if a.Version != "" {
			out = append(out, resolve.Pin{Name: a.Name, Version: a.Version})
		}
	}
	return out
}

// add is what is in the environment once packages, resolved from indexes, are installed into it: the same version stays as it is,
// another takes its place, and what they do not name stays.
func (e *installed) add(packages []lockfile.Artifact, indexes []string) ([]lockfile.Artifact, error) {
	if e == nil {
		return packages, nil
	}
	all := map[string]lockfile.Artifact{}
	for _, a := range e.Packages {
		all[a.Name] = a
	}
	for _, a := range packages {
		old, there := all[a.Name]
		switch {
		case there && satisfied(old, a):
		case there && a.Direct == nil && !e.offered(old, indexes):
			return nil, notOffered(old, a, e.missing(indexes))
		default:
			all[a.Name] = a
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b lockfile.Artifact) int { return strings.Compare(a.Name, b.Name) }), nil
}

// satisfied reports whether what is installed is what was chosen. uv does not install a version again, wherever it came
// from, but for one that is asked for by an address.
func satisfied(old, chosen lockfile.Artifact) bool {
	if chosen.Direct != nil {
		return old.Direct != nil && *old.Direct == *chosen.Direct && old.Hash == chosen.Hash
	}
	a, err := pypa.ParseVersion(old.Version)
	b, err2 := pypa.ParseVersion(chosen.Version)
	return err == nil && err2 == nil && a.Compare(b) == 0
}

// offered reports whether the resolver could have chosen what is installed. If it could not, that it chose another version
// does not mean that uv would: uv looks at what is installed before it looks at an index.
func (e *installed) offered(old lockfile.Artifact, indexes []string) bool {
	return old.Direct == nil && len(e.missing(indexes)) == 0
}

// missing lists the indexes of the environment that are not among those given.
func (e *installed) missing(indexes []string) []string {
	return slices.DeleteFunc(slices.Clone(e.Indexes), func(u string) bool { return slices.Contains(indexes, u) })
}

func notOffered(old, chosen lockfile.Artifact, missing []string) error {
	from := "was installed by its address"
	hint := "name it in the same way in this spec"
	if old.Direct == nil {
		from = "may be from " + strings.Join(missing, ", ") + ", which this spec does not name"
		hint = "give this spec the indexes of its base"
	}
	return &plan.Unsupported{
		Field: "packages", Hint: hint,
		Reason: fmt.Sprintf("whether %s %s of the base image would stay is not known: it %s, and elsewhere %s is chosen",
			old.Name, old.Version, from, chosen.Version),
	}
}
