package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// scale is a registry that counts what is sent to it: a proxy in front of the real one.
type scale struct {
	host string // address of the proxy
	sent atomic.Int64
}

func newScale(ctx context.Context, registry string) (*scale, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &scale{host: l.Addr().String()}
	target := &url.URL{Scheme: "http", Host: registry}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // the registry names itself in Location headers by it
	}}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &counted{r.Body, &s.sent}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = srv.Serve(l) }()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	return s, nil
}

// take returns the bytes sent since the last call.
func (s *scale) take() int64 { return s.sent.Swap(0) }

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// pushFiles pushes an image that holds these files and nothing else.
func pushFiles(ctx context.Context, ref string, files map[string][]byte) error {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for path, content := range files {
		if err := tw.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := tw.Write(content); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: architecture(), OS: "linux", RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs(img)},
	})
	if err != nil {
		return err
	}
	r, err := name.ParseReference(ref)
	if err != nil {
		return err
	}
	return remote.Write(r, img, remote.WithContext(ctx))
}

func diffIDs(img v1.Image) []v1.Hash {
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil
	}
	return cfg.RootFS.DiffIDs
}

// pushStandIns puts what flytekit's builder takes from other images into the registry.
func pushStandIns(ctx context.Context, host, uv, micromamba, ca string) (uvImage, micromambaImage string, err error) {
	program, err := os.ReadFile(uv)
	if err != nil {
		return "", "", err
	}
	authorities, err := os.ReadFile(ca)
	if err != nil {
		return "", "", err
	}
	uvImage = fmt.Sprintf("%s/imgspecd-bench/uv:1", host)
	if err := pushFiles(ctx, uvImage, map[string][]byte{"uv": program}); err != nil {
		return "", "", fmt.Errorf("push %s: %w", uvImage, err)
	}
	micromambaImage = fmt.Sprintf("%s/imgspecd-bench/micromamba:1", host)
	err = pushFiles(ctx, micromambaImage, map[string][]byte{
		"usr/bin/micromamba":                []byte(micromamba),
		"etc/ssl/certs/ca-certificates.crt": authorities,
	})
	if err != nil {
		return "", "", fmt.Errorf("push %s: %w", micromambaImage, err)
	}
	return uvImage, micromambaImage, nil
}
