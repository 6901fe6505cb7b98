package builder

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

// uvSize bounds the program that is taken out of uv's wheel.
const uvSize = 256 << 20

// uvArch names machines as uv's wheels do.
var uvArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}

// UV returns a directory with a uv that runs in any image for a platform, for steps to be executed with. It comes from the
// package index: the wheel for musl has a program that needs no C library. The newest release that was ever needed here is
// kept; another is looked for only when there is none.
func (b *Builder) UV(ctx context.Context, platform string) (dir string, err error) {
	arch := uvArch[strings.Split(platform+"/", "/")[1]]
	if arch == "" {
		return "", fmt.Errorf("there is no uv for %s", platform)
	}
	unlock, err := b.making.Lock(ctx, "uv "+arch)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir = filepath.Join(b.deps.Store.Dir(), "tools", "uv-"+arch)
	if _, err := os.Stat(filepath.Join(dir, "uv")); err == nil {
		return dir, nil
	}
	if err := b.fetchUV(ctx, arch, dir); err != nil {
		return "", fmt.Errorf("get uv for steps on %s: %w", platform, err)
	}
	return dir, nil
}

func (b *Builder) fetchUV(ctx context.Context, arch, dir string) error {
	var failed error
	for _, i := range b.deps.Index.Indexes() {
		files, err := b.deps.Index.List(ctx, i.URL, "uv")
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		f, version := newestUV(files, arch)
		if version == "" {
			continue
		}
		path, err := b.deps.Index.Fetch(ctx, index.File{URL: f.URL, Filename: f.Filename, Hash: "sha256:" + f.SHA256, Size: f.Size, Project: "uv"}, func(int64) {})
		if err != nil {
			return err
		}
		return unzipOne(path, "uv-"+version+".data/scripts/uv", filepath.Join(dir, "uv"), b.deps.Store.Tmp())
	}
	if failed != nil {
		return failed
	}
	return errors.New("no index has a wheel of it for musl")
}

// newestUV picks the newest release that is final.
func newestUV(files []index.Listed, arch string) (newest index.Listed, version string) {
	var best pypa.Version
	for _, f := range files {
		w, err := pypa.ParseWheelName(f.Filename)
		if err != nil || f.SHA256 == "" || f.Yanked || !slices.ContainsFunc(w.Tags, func(t pypa.Tag) bool {
			return strings.HasPrefix(t.Platform, "musllinux_") && strings.HasSuffix(t.Platform, "_"+arch)
		}) {
			continue
		}
		v, err := pypa.ParseVersion(w.Version)
		if err != nil || v.IsPrerelease() || (version != "" && v.Compare(best) <= 0) {
			continue
		}
		newest, best, version = f, v, w.Version
	}
	return newest, version
}

// unzipOne takes one program out of an archive.
func unzipOne(archive, name, to, tmp string) (err error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close() //nolint:errcheck // it was only read
	in, err := z.Open(name)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.CreateTemp(tmp, "tool-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	n, err := io.Copy(out, io.LimitReader(in, uvSize))
	err = cmp.Or(err, out.Chmod(0o755), out.Sync(), out.Close())
	switch {
	case err != nil:
		return err
	case n == uvSize:
		return fmt.Errorf("%s: %s is larger than %d bytes", filepath.Base(archive), name, uvSize)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
