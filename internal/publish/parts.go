package publish

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// Parts are an image, or an index of images, as places take it.
type Parts struct {
	Manifest  []byte // or index
	Digest    v1.Hash
	MediaType types.MediaType
	Blobs     []Part   // layers, lowest first, each once; then the config. Of an index, those of all its images
	Images    []*Parts // of an index
	// Of an image:
	Parsed   *v1.Manifest
	Platform *v1.Platform
	DiffIDs  []v1.Hash
}

// Part is one blob to be sent.
type Part struct {
	v1.Descriptor
	Layer v1.Layer // nil: the config
	Bytes []byte   // of the config
}

func (p Part) String() string {
	if p.Layer == nil {
		return "config"
	}
	return "layer " + p.Digest.String()
}

// Compressed opens the blob; it can be called again.
func (p Part) Compressed() (io.ReadCloser, error) {
	if p.Layer == nil {
		return io.NopCloser(bytes.NewReader(p.Bytes)), nil
	}
	return p.Layer.Compressed()
}

// PartsOf reads what a content consists of, without opening its layers.
func PartsOf(c Content) (*Parts, error) {
	raw, err := c.RawManifest()
	if err != nil {
		return nil, err
	}
	p := &Parts{Manifest: raw}
	if p.MediaType, err = c.MediaType(); err != nil {
		return nil, err
	}
	if p.Digest, err = v1.NewHash(blob.Digest(raw)); err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case v1.Image:
		return p, p.image(c)
	case v1.ImageIndex:
		return p, p.index(c)
	}
	return nil, fmt.Errorf("neither an image nor an index (%s)", p.MediaType)
}

func (p *Parts) image(img v1.Image) error {
	m, err := v1.ParseManifest(bytes.NewReader(p.Manifest))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	cfg, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	if len(layers) != len(m.Layers) {
		return fmt.Errorf("image has %d layers, its manifest %d", len(layers), len(m.Layers))
	}
	p.Parsed, p.Platform, p.DiffIDs = m, cfg.Platform(), cfg.RootFS.DiffIDs
	for i, d := range m.Layers {
		p.add(Part{Descriptor: d, Layer: layers[i]})
	}
	p.add(Part{Descriptor: m.Config, Bytes: config})
	return nil
}

func (p *Parts) index(index v1.ImageIndex) error {
	m, err := v1.ParseIndexManifest(bytes.NewReader(p.Manifest))
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	for _, d := range m.Manifests {
		img, err := index.Image(d.Digest)
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		one, err := PartsOf(img)
		if err != nil {
			return fmt.Errorf("read image for %s: %w", d.Platform, err)
		}
		p.Images = append(p.Images, one)
		for _, b := range one.Blobs {
			p.add(b)
		}
	}
	return nil
}

// add notes a blob that is to be sent once, however often it is named.
func (p *Parts) add(b Part) {
	if !slices.ContainsFunc(p.Blobs, func(have Part) bool { return have.Digest == b.Digest }) {
		p.Blobs = append(p.Blobs, b)
	}
}

// Descriptor names the manifest or index.
func (p *Parts) Descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: p.MediaType, Digest: p.Digest, Size: int64(len(p.Manifest))}
}
