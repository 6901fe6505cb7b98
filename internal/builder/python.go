package builder

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// packages are the open wheels of a layer, in the order of Layer.Packages.
type packages []*wheel.Wheel

func openPackages(l plan.Layer, paths map[string]string, limits wheel.Limits) (packages, error) {
	var open packages
	for _, a := range l.Packages {
		w, err := wheel.Open(paths[a.Hash], a.Filename, limits)
		if err != nil {
			open.close()
			return nil, err
		}
		open = append(open, w)
	}
	return open, nil
}

func (ps packages) close() {
	for _, w := range ps {
		_ = w.Close() // it was only read
	}
}

// installed is one path of a layer, and the wheel it comes from.
type installed struct {
	wheel.File
	from *wheel.Wheel
}

// write installs the wheels into a layer, sorted by path, and returns what it wrote.
func (ps packages) write(ctx context.Context, w *layer.Writer, l plan.Layer, r *run) ([]installed, error) {
	p := r.plan
	files, err := ps.files(l.Packages, p.Prefix)
	if err != nil {
		return nil, err
	}
	files = part(files, l.Part, l.Parts)
	code, err := r.compile(ctx, l, ps, files)
	if err != nil {
		return nil, err
	}
	defer code.end()
	replaced := code.replaced(files)
	for _, f := range files {
		if replaced[f.Path] {
			continue
		}
		err := f.write(w, p.Owner)
		if err == nil {
			err = code.write(w, f, p.Owner)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.from.Filename, err)
		}
	}
	return files, code.keep()
}

// files lists what the wheels install. Where two bring the same path, the later by
// name has it: what uv does with one worker. With several, as by default, it is a
// race there (ADR 5).
func (ps packages) files(artifacts []lockfile.Artifact, s wheel.Scheme) ([]installed, error) {
	at := map[string]int{}
	var all []installed
	for i, w := range ps {
		files, err := w.Plan(s, options(artifacts[i]))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			n, taken := at[f.Path]
			switch {
			case !taken:
				at[f.Path] = len(all)
				all = append(all, installed{f, w})
			case !f.Mode.IsDir(): // an empty directory gives way to what is there
				all[n] = installed{f, w}
			}
		}
	}
	slices.SortFunc(all, func(a, b installed) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// options are those of `uv sync`, which writes REQUESTED for every package.
func options(a lockfile.Artifact) wheel.Options {
	o := wheel.Options{Requested: true, Built: a.Built}
	if d := a.Direct; d != nil {
		o.Direct = &wheel.Direct{URL: d.URL, Hash: d.Hash, Editable: d.Editable, Commit: d.Commit, Requested: d.Requested, Subdirectory: d.Subdirectory}
	}
	return o
}

// part picks the files of one layer of a package that has several.
func part(files []installed, part, parts int) []installed {
	if parts <= 1 {
		return files
	}
	sizes := make([]int64, len(files))
	for i, f := range files {
		sizes[i] = f.Entry.CompressedSize + int64(len(f.Data))
	}
	cut := layer.Cut(sizes, parts)
	return files[cut[part-1]:cut[part]]
}

func (f installed) write(w *layer.Writer, owner plan.Owner) error {
	h := layer.Header{Path: f.Path, Mode: f.Mode, UID: owner.UID, GID: owner.GID, Size: f.Size}
	switch {
	case f.Mode.IsDir():
		h.Mode = fs.ModeDir | f.Mode.Perm()
		return w.Dir(h)
	case f.Data != nil:
		return w.File(h, f.Data)
	}
	raw, err := f.from.Raw(f.File)
	if err != nil {
		return err
	}
	if f.Entry.Method == wheel.Stored {
		return w.Store(h, raw, f.CRC, f.Hash)
	}
	return w.Deflate(h, raw, f.Entry.CompressedSize, f.CRC, f.Hash)
}
