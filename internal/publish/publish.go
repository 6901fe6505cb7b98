// Package publish puts a built image where it will be asked for.
//
// A Target is one such place: the OCI layout on disk (layout.go), a registry
// (registry.go), Docker (publish/docker). Each sends only what the place lacks,
// then asks the place: that answer, not the sending, is what makes an image ready.
//
// It never decides which targets an image shall be in, nor when; engine does.
package publish

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// Target is a place an image can be ready in. Safe for concurrent use.
type Target interface {
	// Name is the target's name in the API: "layout", "registry", "docker".
	Name() string
	// Publish makes name mean img in this place, sending only what is missing there,
	// and verifies it. Canceling ctx leaves either the old image under name or the new one.
	Publish(ctx context.Context, name string, img v1.Image, report progress.Func) (Receipt, error)
	// Check asks the place what name means there now. Not there: a Receipt without Digest, and no error.
	Check(ctx context.Context, name string) (Receipt, error)
}

// Receipt is what a place says of an image, and what it cost to put it there.
type Receipt struct {
	Digest     string // what the place calls it: the manifest's digest, or Docker's image ID
	Config     string // digest of the image's config, where the place tells it; the layout always does
	SentBytes  int64
	SentLayers int
}

// Same reports whether r, of any place, is the image that the layout has as o: a
// Docker engine with a graph driver calls an image by its config, all others by its manifest.
func (r Receipt) Same(o Receipt) bool {
	return r.Digest != "" && (r.Digest == o.Digest || r.Digest == o.Config)
}

// What the errors of targets are, for errors.Is.
var (
	ErrDenied      = errors.New("access denied")     // credentials are missing or not enough
	ErrUnreachable = errors.New("cannot be reached") // the place did not answer
)
