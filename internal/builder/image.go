package builder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/store"
)

// image is the base's layers, left where they are, with ours from the store on top.
type image struct {
	layers   []v1.Layer
	config   []byte
	manifest []byte
}

func (b *Builder) newImage(p *plan.Plan, base v1.Image, records []store.LayerRecord) (v1.Image, error) {
	lower, err := base.Layers()
	if err != nil {
		return nil, fmt.Errorf("read base: %w", err)
	}
	img := &image{}
	for _, l := range lower {
		left, err := leftOut(p, l)
		if err != nil {
			return nil, fmt.Errorf("read base: %w", err)
		}
		if left {
			continue
		}
		if l, err = ociLayer(l); err != nil {
			return nil, fmt.Errorf("read base: %w", err)
		}
		img.layers = append(img.layers, l)
	}
	for i, r := range records {
		l, err := b.madeLayer(p.Layers[i].Key, r)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", p.Layers[i].Title, err)
		}
		img.layers = append(img.layers, l)
	}
	cfg, err := base.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read base: %w", err)
	}
	if img.config, err = config(p, cfg, records); err != nil {
		return nil, err
	}
	img.manifest, err = img.makeManifest()
	return img, err
}

// makeManifest describes config and layers; as an OCI manifest, whatever the base's was.
func (i *image) makeManifest() ([]byte, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(i.config))
	if err != nil {
		return nil, err
	}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: digest, Size: size},
		Layers: make([]v1.Descriptor, len(i.layers)),
	}
	for n, l := range i.layers {
		d, err := partial.Descriptor(l)
		if err != nil {
			return nil, fmt.Errorf("describe layer %d: %w", n, err)
		}
		m.Layers[n] = v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, URLs: d.URLs}
	}
	return json.Marshal(m)
}

// config is the base's with the plan's changes. Nothing in it depends on when or
// where it is made.
func config(p *plan.Plan, base *v1.ConfigFile, records []store.LayerRecord) ([]byte, error) {
	cfg := base.DeepCopy()
	withhold(p, cfg)
	made := v1.Time{Time: layer.Epoch}
	cfg.Created, cfg.Author, cfg.Container = made, "", ""
	cfg.DockerVersion = "" //nolint:staticcheck // deprecated, but old bases have it, and it is not true of ours
	c := &cfg.Config
	c.Image, c.Hostname, c.Domainname = "", "", ""
	c.Env, c.User, c.WorkingDir, c.Shell = p.Config.Env, p.Config.User, p.Config.WorkingDir, p.Config.Shell
	if p.Config.SetEntrypoint {
		c.Entrypoint, c.Cmd = p.Config.Entrypoint, nil
	}
	labels := maps.Clone(c.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, p.Config.Labels)
	c.Labels = labels
	for i, r := range records {
		id, err := v1.NewHash(r.DiffID)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", p.Layers[i].Title, err)
		}
		cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, id)
		cfg.History = append(cfg.History, v1.History{Created: made, CreatedBy: "imgspecd: " + p.Layers[i].Title})
	}
	cfg.History = append(cfg.History, v1.History{Created: made, CreatedBy: "imgspecd: environment, user, labels", EmptyLayer: true})
	return json.Marshal(cfg)
}

// leftOut reports whether the plan does without a layer of the base.
func leftOut(p *plan.Plan, l v1.Layer) (bool, error) {
	if len(p.Without) == 0 {
		return false, nil
	}
	id, err := l.DiffID()
	return slices.Contains(p.Without, id.String()), err
}

// withhold takes the layers that the plan does without out of a config, with their lines of the history.
func withhold(p *plan.Plan, cfg *v1.ConfigFile) {
	if len(p.Without) == 0 {
		return
	}
	gone := make([]bool, len(cfg.RootFS.DiffIDs))
	var kept []v1.Hash
	for i, id := range cfg.RootFS.DiffIDs {
		if gone[i] = slices.Contains(p.Without, id.String()); !gone[i] {
			kept = append(kept, id)
		}
	}
	var history []v1.History
	n := 0
	for _, h := range cfg.History {
		if !h.EmptyLayer {
			n++
			if n <= len(gone) && gone[n-1] {
				continue
			}
		}
		history = append(history, h)
	}
	cfg.RootFS.DiffIDs, cfg.History = kept, history
}

func (i *image) Layers() ([]v1.Layer, error)         { return append([]v1.Layer(nil), i.layers...), nil }
func (i *image) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (i *image) Size() (int64, error)                { return int64(len(i.manifest)), nil }
func (i *image) ConfigName() (v1.Hash, error)        { return partial.ConfigName(i) }
func (i *image) ConfigFile() (*v1.ConfigFile, error) { return partial.ConfigFile(i) }
func (i *image) RawConfigFile() ([]byte, error)      { return bytes.Clone(i.config), nil }
func (i *image) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i *image) Manifest() (*v1.Manifest, error)     { return partial.Manifest(i) }
func (i *image) RawManifest() ([]byte, error)        { return bytes.Clone(i.manifest), nil }
func (i *image) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if name, err := i.ConfigName(); err == nil && name == h {
		return partial.ConfigLayer(i)
	}
	return i.find(h, v1.Layer.Digest)
}
func (i *image) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return i.find(h, v1.Layer.DiffID) }

func (i *image) find(h v1.Hash, by func(v1.Layer) (v1.Hash, error)) (v1.Layer, error) {
	for _, l := range i.layers {
		got, err := by(l)
		if err != nil {
			return nil, err
		}
		if got == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no layer %s in this image", h)
}

// ociTypes are Docker's names for layers, and OCI's for the same bytes.
var ociTypes = map[types.MediaType]types.MediaType{
	types.DockerLayer:             types.OCILayer,
	types.DockerUncompressedLayer: types.OCIUncompressedLayer,
	types.DockerForeignLayer:      types.OCIRestrictedLayer,
}

// ociLayer gives a layer OCI's media type: an OCI manifest with Docker's is refused
// by some registries. The bytes and the digest stay.
func ociLayer(l v1.Layer) (v1.Layer, error) {
	mt, err := l.MediaType()
	if err != nil {
		return nil, err
	}
	oci, ok := ociTypes[mt]
	if !ok {
		return l, nil
	}
	if m, ok := l.(*remote.MountableLayer); ok { // what a registry can mount must stay so
		return &remote.MountableLayer{Layer: &renamed{m.Layer, oci}, Reference: m.Reference}, nil
	}
	return &renamed{l, oci}, nil
}

type renamed struct {
	v1.Layer
	mediaType types.MediaType
}

func (r *renamed) MediaType() (types.MediaType, error) { return r.mediaType, nil }

// Descriptor keeps the rest of the layer's own, such as the URLs of a foreign one.
func (r *renamed) Descriptor() (*v1.Descriptor, error) {
	d, err := partial.Descriptor(r.Layer)
	if err != nil {
		return nil, err
	}
	out := *d
	out.MediaType = r.mediaType
	return &out, nil
}

// blobLayer is a layer in the store.
type blobLayer struct {
	store          *store.Store
	digest, diffID v1.Hash
	size           int64
}

func newBlobLayer(s *store.Store, r store.LayerRecord) (*blobLayer, error) {
	digest, err := v1.NewHash(r.Digest)
	if err != nil {
		return nil, err
	}
	diffID, err := v1.NewHash(r.DiffID)
	if err != nil {
		return nil, err
	}
	return &blobLayer{store: s, digest: digest, diffID: diffID, size: r.Size}, nil
}

func (l *blobLayer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *blobLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *blobLayer) Size() (int64, error)                { return l.size, nil }
func (l *blobLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *blobLayer) Compressed() (io.ReadCloser, error)  { return l.store.OpenBlob(l.digest.String()) }

// Uncompressed reads all members of the gzip.
func (l *blobLayer) Uncompressed() (io.ReadCloser, error) {
	f, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &unzipped{z, f}, nil
}

type unzipped struct {
	*gzip.Reader
	file io.Closer
}

func (u *unzipped) Close() error {
	return errors.Join(u.Reader.Close(), u.file.Close())
}
