package builder

import (
	"context"
	"slices"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Offers reports whether one of the indexes has a wheel of that version of a package for an environment.
func (b *Builder) Offers(ctx context.Context, indexes []string, a lockfile.Artifact, env pypa.Environment) (bool, error) {
	tags := env.Tags()
	for _, url := range indexes {
		files, err := b.deps.Index.List(ctx, url, a.Name)
		if err != nil {
			return false, err
		}
		for _, f := range files {
			w, err := pypa.ParseWheelName(f.Filename)
			if err != nil || f.Yanked || !sameVersion(w.Version, a.Version) {
				continue
			}
			if slices.ContainsFunc(w.Tags, func(t pypa.Tag) bool { return slices.Contains(tags, t) }) {
				return true, nil
			}
		}
	}
	return false, nil
}
