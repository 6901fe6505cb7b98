package teamcache

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/publish"
	"github.com/imgspecd/imgspecd/internal/store"
)

// layerType is the media type of what an entry says of its layer.
const layerType = "application/vnd.imgspecd.layer.v1+json"

// about is what an entry says of its layer. Fields may be added; what they mean stays for a media type.
type about struct {
	Key       string        `json:"key"`
	Digest    string        `json:"digest"`  // of the blob
	DiffID    string        `json:"diff_id"` // of the tar within
	Size      int64         `json:"size"`
	Installed int64         `json:"installed"` // bytes of the files in it
	Files     int           `json:"files"`
	Warnings  []api.Warning `json:"warnings,omitempty"`
}

// RefusedError is an entry that is not believed.
type RefusedError struct{ Key, Reason string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("team cache: the entry %s is refused: %s", e.Key, e.Reason)
}

// entryOf is the entry of a layer.
func entryOf(key string, r store.LayerRecord) (publish.Entry, error) {
	b, err := json.Marshal(about{key, r.Digest, r.DiffID, r.Size, r.Installed, r.Files, r.Warnings})
	if err != nil {
		return publish.Entry{}, err
	}
	digest, err := v1.NewHash(r.Digest)
	return publish.Entry{Type: layerType, About: b, Layers: []v1.Descriptor{{MediaType: types.OCILayer, Digest: digest, Size: r.Size}}}, err
}

// recordOf reads an entry. The error is a *RefusedError.
func recordOf(key string, e publish.Entry) (store.LayerRecord, error) {
	refuse := func(format string, args ...any) (store.LayerRecord, error) {
		return store.LayerRecord{}, &RefusedError{Key: key, Reason: fmt.Sprintf(format, args...)}
	}
	var a about
	if err := json.Unmarshal(e.About, &a); err != nil {
		return refuse("its record cannot be read: %v", err)
	}
	if a.Key != key {
		return refuse("its record is of the key %q", a.Key)
	}
	if _, err := v1.NewHash(a.DiffID); err != nil {
		return refuse("its record has the diff ID %q", a.DiffID)
	}
	if len(e.Layers) != 1 {
		return refuse("it has %d layers", len(e.Layers))
	}
	if l := e.Layers[0]; l.MediaType != types.OCILayer || a.Digest != l.Digest.String() || a.Size != l.Size || a.Size <= 0 {
		return refuse("its layer is %s of %d bytes (%s), its record says %s of %d bytes", l.Digest, l.Size, l.MediaType, a.Digest, a.Size)
	}
	return store.LayerRecord{
		Digest: a.Digest, DiffID: a.DiffID, Size: a.Size, Installed: a.Installed, Files: a.Files, Warnings: a.Warnings,
	}, nil
}
