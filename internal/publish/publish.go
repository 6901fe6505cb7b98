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
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/progress"
)

// Target is a place an image can be ready in. Safe for concurrent use.
type Target interface {
	// Name is the target's name in the API: "layout", "registry", "docker".
	Name() string
	// Publish makes name mean content in this place, sending only what is missing there,
	// and verifies it. Canceling ctx leaves either what name meant before or the new content.
	Publish(ctx context.Context, name string, content Content, report progress.Func) (Receipt, error)
	// Check asks the place what name means there now. Not there: a Receipt without Digest, and no error.
	Check(ctx context.Context, name string) (Receipt, error)
}

// Content is what a name means: a v1.Image, or a v1.ImageIndex of one v1.Image for each of several platforms.
type Content interface {
	MediaType() (types.MediaType, error)
	Digest() (v1.Hash, error)
	Size() (int64, error)
	RawManifest() ([]byte, error)
}

// Receipt is what a place says of an image, and what it cost to put it there.
type Receipt struct {
	Digest     string   // what the place calls it: the digest of the manifest or index, or Docker's image ID
	Configs    []string // digests of the images' configs, where the place tells them; the layout always does
	SentBytes  int64
	SentLayers int
}

// Same reports whether r, of any place, is the content that the layout has as o: a
// Docker engine with a graph driver calls an image by its config, and has only one of an index.
func (r Receipt) Same(o Receipt) bool {
	return r.Digest != "" && (r.Digest == o.Digest || slices.Contains(o.Configs, r.Digest))
}

// What the errors of targets are, for errors.Is.
var (
	ErrDenied      = errors.New("access denied")     // credentials are missing or not enough
	ErrUnreachable = errors.New("cannot be reached") // the place did not answer
)
