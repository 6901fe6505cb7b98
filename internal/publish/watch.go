package publish

import (
	"context"
	"slices"

	"github.com/distribution/reference"
)

// Watchable is a place that tells what happens to the images in it. Others use it too: what was
// ready there may be removed, or its name may be given to something else.
type Watchable interface {
	// Name is the target's.
	Name() string
	// Watch calls changed, from one goroutine, until ctx ends. It outlives the place: while that is
	// gone it waits, and when it is back anything may have changed. What this process puts
	// there or takes away itself is no change.
	Watch(ctx context.Context, changed func(Change))
}

// Change says which images of a place may not be there any more, or under another name. It is a
// hint: the place is to be asked.
type Change struct {
	All    bool     // any of them: the place came, went, or does not say which
	Images []string // names in full (see FullName), and digests as in Receipt
}

// Concerns reports whether an image that the place calls digest, empty if that is not known, may have changed.
func (c Change) Concerns(name, digest string) bool {
	return c.All || slices.Contains(c.Images, FullName(name)) || (digest != "" && slices.Contains(c.Images, digest))
}

// FullName is an image's name with all that it leaves to be understood: docker.io/library/app:latest for app.
// What is no name stays as it is.
func FullName(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.TagNameOnly(named).String()
}
