package integration

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// docker is a Docker engine, spoken to as people do: through its command.
type docker struct {
	t    *testing.T
	host string
}

func newDocker(t *testing.T, variable string) docker {
	t.Helper()
	need(t, variable)
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("there is no docker command")
	}
	return docker{t: t, host: os.Getenv(variable)}
}

func (d docker) run(args ...string) string {
	d.t.Helper()
	return command{}.run(d.t, "docker", append([]string{"--host", d.host}, args...)...)
}

// in runs a shell command in a new container of an image.
func (d docker) in(image, script string) string {
	d.t.Helper()
	return d.run("run", "--rm", image, "/bin/bash", "-c", script)
}

// forget removes an image when the test ends.
func (d docker) forget(image string) {
	d.t.Cleanup(func() {
		_, _ = command{}.try(context.WithoutCancel(d.t.Context()), "docker", "--host", d.host, "rmi", "-f", image)
	})
}

// entry is what is compared of a file in an image.
type entry struct {
	mode int64
	kind byte
	link string
	sum  string
	uid  int
}

// tree reads a directory of an image, by path below it.
func (d docker) tree(container, dir string) map[string]entry {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), "docker", "--host", d.host, "cp", container+":"+dir, "-")
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	found := make(map[string]entry)
	r := tar.NewReader(out)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.t.Fatal(err)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, r); err != nil {
			d.t.Fatal(err)
		}
		_, below, _ := strings.Cut(path.Clean(h.Name), "/")
		found[below] = entry{mode: h.Mode, kind: h.Typeflag, link: h.Linkname, sum: hex.EncodeToString(sum.Sum(nil)), uid: h.Uid}
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		d.t.Fatal(err)
	}
	return found
}

// container makes a container of an image without starting it, and removes it when the test ends.
func (d docker) container(image string) string {
	d.t.Helper()
	id := strings.TrimSpace(d.run("create", image))
	d.t.Cleanup(func() {
		_, _ = command{}.try(context.WithoutCancel(d.t.Context()), "docker", "--host", d.host, "rm", "-f", id)
	})
	return id
}

// pull returns an image as a registry has it.
func pull(t *testing.T, ref string) v1.Image {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// forgetRemote removes an image from a registry when the test ends.
func forgetRemote(t *testing.T, ref string) {
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if r, err := name.ParseReference(ref); err == nil {
			if d, err := remote.Head(r, remote.WithContext(ctx)); err == nil {
				_ = remote.Delete(r.Context().Digest(d.Digest.String()), remote.WithContext(ctx))
			}
		}
	})
}

// layers returns the digests of an image's layers, lowest first.
func layers(t *testing.T, img v1.Image) []string {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range m.Layers {
		out = append(out, l.Digest.String())
	}
	return out
}
