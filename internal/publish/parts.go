package publish

import (
	"bytes"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// Parts are an image as places take it.
type Parts struct {
	Manifest []byte
	Digest   v1.Hash // of Manifest
	Parsed   *v1.Manifest
	Blobs    []Part // layers, lowest first, each once; then the config
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

// PartsOf reads what an image consists of, without opening its layers.
func PartsOf(img v1.Image) (*Parts, error) {
	raw, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != len(m.Layers) {
		return nil, fmt.Errorf("image has %d layers, its manifest %d", len(layers), len(m.Layers))
	}
	p := &Parts{Manifest: raw, Parsed: m}
	if p.Digest, err = v1.NewHash(blob.Digest(raw)); err != nil {
		return nil, err
	}
	seen := map[v1.Hash]bool{}
	for i, d := range m.Layers {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			p.Blobs = append(p.Blobs, Part{Descriptor: d, Layer: layers[i]})
		}
	}
	p.Blobs = append(p.Blobs, Part{Descriptor: m.Config, Bytes: config})
	return p, nil
}

// Descriptor names the manifest.
func (p *Parts) Descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: p.Parsed.MediaType, Digest: p.Digest, Size: int64(len(p.Manifest))}
}
