package plan

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/layer"
)

// Content is where the content of a file is read when its layer is made. Whoever reads it must find what Digest says.
type Content struct {
	Path   string // on this machine
	Size   int64
	Digest string // sha256, hex
}

const (
	maxCopied = 12      // layers of copied files
	bigCopy   = 1 << 20 // a COPY with this many bytes has a layer of its own
	partSize  = 1 << 30 // a layer with more than this is split
)

// checkCopies refuses what cannot be copied.
func checkCopies(in Input) error {
	if r := in.Refused; r != nil {
		if r.Deliberate {
			return &Unsupported{Field: r.Field, Reason: r.Reason, Hint: r.Hint}
		}
		return &Invalid{Field: r.Field, Reason: r.Reason, Hint: r.Hint}
	}
	mode := in.Spec.Get("source_copy_mode")
	source := mode != nil && mode != imagespec.Value(imagespec.None{}) && mode != imagespec.Value(imagespec.NoCopy)
	if len(in.Copies) == 0 && (source || isSet(in.Spec, "copy") && !empty(in.Spec.Get("copy"))) {
		return &Invalid{Field: "copy", Reason: "what is to be copied was not listed"}
	}
	return nil
}

// copyLayers lays out what the default builder copies with COPY --chown=flytekit, one instruction after the other. Small
// ones that follow each other share a layer.
func copyLayers(in Input, t *tree, owner Owner) ([]Layer, error) {
	room := min(maxCopied, MaxImageLayers-in.Base.Layers-leastLayers+2)
	var layers []Layer
	var names []string
	var size int64
	flush := func() {
		if files := t.layer(); len(files) > 0 {
			parts := min(int((size+partSize-1)/partSize), room-len(layers)-1)
			layers = append(layers, copiedLayers(t, names, files, max(1, parts))...)
		}
		names, size = nil, 0
	}
	for _, c := range in.Copies {
		n := sizeOf(c)
		if n >= bigCopy && size > 0 && len(layers) < room-1 {
			flush()
		}
		if err := t.copyIn(c, owner); err != nil {
			return nil, err
		}
		names, size = append(names, copyName(c)), size+n
		if size >= bigCopy && len(layers) < room-1 {
			flush()
		}
	}
	flush()
	return layers, nil
}

func sizeOf(c imagespec.Copy) (n int64) {
	for _, f := range c.Files {
		n += f.Size
	}
	return n
}

func copyName(c imagespec.Copy) string {
	if c.Field == "source_root" {
		return "source_root"
	}
	return c.From
}

// copyIn does what BuildKit does for `COPY --chown=flytekit SRC /root/DEST/`: folders on the way to DEST, and DEST, are made as 0755
// where there are none, and left as they are otherwise; what is below gets the mode it has in the project, also where it was there before.
func (t *tree) copyIn(c imagespec.Copy, owner Owner) error {
	dest := path.Join("/root", c.Dest)
	for _, dir := range append(parents(dest), dest) {
		switch f, ok := t.files[dir]; {
		case !ok:
			t.put(File{Path: dir, Mode: fs.ModeDir | 0o755, Owner: owner})
		case f.Mode.Type() == fs.ModeSymlink:
			return &Unsupported{Field: c.Field, Reason: dir + " of the base is a link; copying to where it leads", Hint: "choose a base without it"}
		case !f.Mode.IsDir():
			return &Invalid{Field: c.Field, Reason: dir + " is no folder in the image"}
		}
	}
	for _, f := range c.Files {
		if err := t.copyOne(c.Field, path.Join(dest, f.Rel), f, owner); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) copyOne(field, at string, f imagespec.Copied, owner Owner) error {
	old, ok := t.files[at]
	switch {
	case strings.Contains(at, "/.wh."):
		return &Invalid{Field: field, Reason: "a name that begins with .wh. deletes files of the layers below: " + at, Hint: "rename it"}
	case !utf8.ValidString(at):
		return &Unsupported{Field: field, Reason: fmt.Sprintf("the name %q, which is not UTF-8,", at), Hint: "rename it"}
	case ok && f.Mode.IsDir() && !old.Mode.IsDir():
		return &Invalid{Field: field, Reason: at + " is no folder in the image, and a folder is to be copied there"}
	case ok && !f.Mode.IsDir() && old.Mode.IsDir():
		return &Invalid{Field: field, Reason: at + " is a folder in the image, and a file is to be copied there"}
	case f.Mode.IsDir():
		t.put(File{Path: at, Mode: f.Mode, Owner: owner})
	default:
		t.put(File{Path: at, Mode: f.Mode, Owner: owner, From: &Content{Path: f.Path, Size: f.Size, Digest: f.Digest}})
	}
	return nil
}

// copiedLayers divides files among layers.
func copiedLayers(t *tree, names []string, files []File, parts int) []Layer {
	shown := names[:min(len(names), titleNames)]
	title := fmt.Sprintf("%d copied: %s", countFiles(files), strings.Join(shown, ", "))
	if len(names) > titleNames {
		title += ", ..."
	}
	if parts == 1 {
		return []Layer{ownLayer(Files, title, files)}
	}
	sizes := make([]int64, len(files))
	for i, f := range files {
		if f.From != nil {
			sizes[i] = f.From.Size
		}
	}
	var layers []Layer
	cut := layer.Cut(sizes, parts)
	for i := range parts {
		if part := files[cut[i]:cut[i+1]]; len(part) > 0 {
			layers = append(layers, ownLayer(Files, fmt.Sprintf("%s (part %d of %d)", title, i+1, parts), t.withParents(part)))
		}
	}
	return layers
}

func countFiles(files []File) (n int) {
	for _, f := range files {
		if f.Mode.IsRegular() {
			n++
		}
	}
	return n
}

// withParents adds the folders above files that are not among them.
func (t *tree) withParents(files []File) []File {
	have := map[string]bool{}
	for _, f := range files {
		have[f.Path] = true
	}
	all := slices.Clone(files)
	for _, f := range files {
		for _, dir := range parents(f.Path) {
			if !have[dir] {
				have[dir] = true
				all = append(all, t.files[dir])
			}
		}
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return all
}
