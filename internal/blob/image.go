package blob

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Image is what NewImage makes a v1.Image of.
type Image struct {
	Manifest []byte
	Config   []byte
	Store    Store // nil: nothing is kept
	// Fetch opens a layer's blob where it comes from; nil when all are in the Store.
	Fetch func(v1.Descriptor) (io.ReadCloser, error)
	// Repository is set when the blobs lie in a registry, which can then mount them
	// into a repository of its own.
	Repository *name.Repository
}

// NewImage returns an image whose layers stay where they are until they are read.
func NewImage(i Image) (v1.Image, error) {
	m, err := v1.ParseManifest(bytes.NewReader(i.Manifest))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	cfg, err := v1.ParseConfigFile(bytes.NewReader(i.Config))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	if got := Digest(i.Config); got != m.Config.Digest.String() {
		return nil, fmt.Errorf("read config: digest is %s, manifest says %s", got, m.Config.Digest)
	}
	if n := len(cfg.RootFS.DiffIDs); n != len(m.Layers) {
		return nil, fmt.Errorf("read config: %d diff IDs for %d layers", n, len(m.Layers))
	}
	core := &core{Image: i, manifest: m, config: cfg}
	img, err := partial.CompressedToImage(core)
	if err != nil {
		return nil, err
	}
	return &image{Image: img, core: core}, nil
}

type core struct {
	Image
	manifest *v1.Manifest
	config   *v1.ConfigFile
}

func (c *core) RawManifest() ([]byte, error)   { return c.Image.Manifest, nil }
func (c *core) RawConfigFile() ([]byte, error) { return c.Image.Config, nil }

func (c *core) MediaType() (types.MediaType, error) {
	if c.manifest.MediaType != "" {
		return c.manifest.MediaType, nil
	}
	return types.OCIManifestSchema1, nil // OCI allows the field to be absent
}

func (c *core) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if h == c.manifest.Config.Digest {
		return nil, errors.New("the config is not a layer")
	}
	for i, d := range c.manifest.Layers {
		if d.Digest == h {
			return c.layer(i), nil
		}
	}
	return nil, fmt.Errorf("no layer %s in this image", h)
}

func (c *core) layer(i int) *layer {
	return &layer{core: c, desc: c.manifest.Layers[i], diffID: c.config.RootFS.DiffIDs[i]}
}

// image gives the layers their source, which CompressedToImage would hide.
type image struct {
	v1.Image
	core *core
}

func (i *image) Layers() ([]v1.Layer, error) {
	ls := make([]v1.Layer, len(i.core.manifest.Layers))
	for n := range ls {
		ls[n] = i.core.mountable(i.core.layer(n))
	}
	return ls, nil
}

func (i *image) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if h == i.core.manifest.Config.Digest {
		return partial.ConfigLayer(i)
	}
	for n, d := range i.core.manifest.Layers {
		if d.Digest == h {
			return i.core.mountable(i.core.layer(n)), nil
		}
	}
	return nil, fmt.Errorf("no layer %s in this image", h)
}

func (i *image) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	for n, d := range i.core.config.RootFS.DiffIDs {
		if d == h {
			return i.core.mountable(i.core.layer(n)), nil
		}
	}
	return nil, fmt.Errorf("no layer with diff ID %s in this image", h)
}

func (c *core) mountable(l *layer) v1.Layer {
	if c.Repository == nil {
		return l
	}
	return &remote.MountableLayer{Layer: l, Reference: c.Repository.Digest(l.desc.Digest.String())}
}

type layer struct {
	core   *core
	desc   v1.Descriptor
	diffID v1.Hash
}

func (l *layer) Digest() (v1.Hash, error)             { return l.desc.Digest, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.diffID, nil }
func (l *layer) Size() (int64, error)                 { return l.desc.Size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return l.desc.MediaType, nil }
func (l *layer) Descriptor() (*v1.Descriptor, error)  { d := l.desc; return &d, nil }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return decompressed(l.Compressed()) }

// Compressed opens the blob as it travels.
func (l *layer) Compressed() (io.ReadCloser, error) {
	digest, s := l.desc.Digest.String(), l.core.Store
	if s != nil {
		if size, ok := s.Has(digest); ok && size == l.desc.Size {
			return s.OpenBlob(digest)
		}
	}
	if l.core.Fetch == nil {
		return nil, fmt.Errorf("blob %s is no longer kept", digest)
	}
	rc, err := l.core.Fetch(l.desc)
	if err != nil || s == nil {
		return rc, err
	}
	w, err := s.NewBlob()
	if err != nil {
		rc.Close()
		return nil, fmt.Errorf("keep blob %s: %w", digest, err)
	}
	return &tee{rc: rc, w: w, digest: digest}, nil
}

func decompressed(rc io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	r, err := Decompress(rc)
	if err != nil {
		rc.Close()
		return nil, err
	}
	return &both{ReadCloser: r, under: rc}, nil
}

type both struct {
	io.ReadCloser
	under io.Closer
}

func (b *both) Close() error { return errors.Join(b.ReadCloser.Close(), b.under.Close()) }

// Decompress returns a layer's tar. What the blob is, its first bytes say: media
// types lie (engines.md d). Close frees the decompressor and leaves r open.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	magic, err := br.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(br)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine, a window of at most 128 MiB: what `zstd --long` reads by default.
		d, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	default:
		return io.NopCloser(br), nil
	}
}
