package publish

import (
	"bytes"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/blob"
)

// parts are an image as places take it.
type parts struct {
	manifest []byte
	digest   v1.Hash
	parsed   *v1.Manifest
	blobs    []part // layers, lowest first, each once; then the config
}

// part is one blob to be sent.
type part struct {
	v1.Descriptor
	layer v1.Layer // nil: the config
	bytes []byte   // of the config
}

func (p part) String() string {
	if p.layer == nil {
		return "config"
	}
	return "layer " + p.Digest.String()
}

// Compressed opens the blob; it can be called again.
func (p part) Compressed() (io.ReadCloser, error) {
	if p.layer == nil {
		return io.NopCloser(bytes.NewReader(p.bytes)), nil
	}
	return p.layer.Compressed()
}

func partsOf(img v1.Image) (*parts, error) {
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
	p := &parts{manifest: raw, parsed: m}
	if p.digest, err = v1.NewHash(blob.Digest(raw)); err != nil {
		return nil, err
	}
	seen := map[v1.Hash]bool{}
	for i, d := range m.Layers {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			p.blobs = append(p.blobs, part{Descriptor: d, layer: layers[i]})
		}
	}
	p.blobs = append(p.blobs, part{Descriptor: m.Config, bytes: config})
	return p, nil
}

// descriptor names the manifest.
func (p *parts) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: p.parsed.MediaType, Digest: p.digest, Size: int64(len(p.manifest))}
}
