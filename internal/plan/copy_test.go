package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// copying is an input that copies files of given sizes, each by an instruction of its own.
func copying(t *testing.T, sizes ...int64) Input {
	in := input(t)
	for i, n := range sizes {
		name := fmt.Sprintf("f%02d", i)
		in.Copies = append(in.Copies, imagespec.Copy{Field: "copy", From: name, Dest: ".", Files: []imagespec.Copied{
			{Rel: name, Mode: 0o640, Path: "/project/" + name, Size: n, Digest: strings.Repeat("a", 62) + fmt.Sprintf("%02d", i)},
		}})
	}
	return in
}

func copied(p *Plan) (layers []Layer) {
	for _, l := range p.Layers {
		if l.Kind == Files {
			layers = append(layers, l)
		}
	}
	return layers
}

// A change of one big file makes one layer; where the files lie, and when they were written, is in no key.
func TestCopiedFilesHaveLayersOfTheirOwn(t *testing.T) {
	in := copying(t, 10, 20, 5<<20, 7, 3<<20)
	p := mustMake(t, in)
	ls := copied(p)
	if len(ls) != 4 || p.Layers[len(p.Layers)-4].Kind != Files {
		t.Fatalf("%d layers of copied files", len(ls))
	}
	for i, want := range []string{"2 copied: f00, f01", "1 copied: f02", "1 copied: f03", "1 copied: f04"} {
		if ls[i].Title != want {
			t.Errorf("layer %d is %q, want %q", i, ls[i].Title, want)
		}
	}
	if f := at(t, ls[0], "/root/f00"); f.Mode != 0o640 || f.Owner != (Owner{1000, 1000}) || f.From.Path != "/project/f00" {
		t.Errorf("%+v", f)
	}
	if f := at(t, ls[1], "/root"); f.Mode != fs.ModeDir|0o700 || f.Owner != (Owner{1000, 0}) {
		t.Errorf("/root became %+v", f)
	}
	in = copying(t, 10, 20, 5<<20, 7, 3<<20)
	for i := range in.Copies {
		in.Copies[i].Files[0].Path = "/elsewhere"
	}
	if q := mustMake(t, in); q.Key() != p.Key() {
		t.Error("the place of the project changes the plan")
	}
	in.Copies[2].Files[0].Digest = strings.Repeat("b", 64)
	q := mustMake(t, in)
	for i := range q.Layers {
		if same := q.Layers[i].Key == p.Layers[i].Key; same == (q.Layers[i].Title == "1 copied: f02") {
			t.Errorf("%s: the same key is %v", q.Layers[i].Title, same)
		}
	}
	in.Copies[0].Files[0].Mode = 0o600
	if r := mustMake(t, in); copied(r)[0].Key == ls[0].Key {
		t.Error("the mode of a file is in no key")
	}
}

// Packages keep their layers whether something is copied or not, and the image never has too many.
func TestCopiedFilesLeaveRoom(t *testing.T) {
	many := make([]int64, 300)
	for i := range many {
		many[i] = 2 << 20
	}
	for _, layers := range []int{2, 60, 109} {
		in, without := copying(t, many...), input(t)
		in.Artifacts, without.Artifacts = artifacts(150), artifacts(150)
		in.Base.Layers, without.Base.Layers = layers, layers
		p := mustMake(t, in)
		if n := len(p.Layers) + layers; n > MaxImageLayers || len(copied(p)) > maxCopied || len(copied(p)) == 0 {
			t.Errorf("%d layers on %d, %d of copied files", len(p.Layers), layers, len(copied(p)))
		}
		if layers > 2 {
			continue
		}
		for i, l := range mustMake(t, without).Layers {
			if p.Layers[i].Key != l.Key {
				t.Errorf("layer %s is another where files are copied", l.Title)
			}
		}
	}
}

func TestBigCopiesAreSplit(t *testing.T) {
	in := input(t)
	c := imagespec.Copy{Field: "copy", From: "data", Dest: "data"}
	for i := range 10 {
		c.Files = append(c.Files, imagespec.Copied{Rel: fmt.Sprintf("part-%d", i), Mode: 0o644, Path: "/p", Size: 400 << 20, Digest: fmt.Sprint(i)})
	}
	in.Copies = []imagespec.Copy{c}
	ls := copied(mustMake(t, in))
	files := 0
	for _, l := range ls {
		files += countFiles(l.Files)
		at(t, l, "/root/data")
		if !slices.IsSortedFunc(l.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) }) {
			t.Error("files are not sorted")
		}
	}
	if len(ls) != 4 || files != 10 {
		t.Errorf("%d layers with %d files", len(ls), files)
	}
}

func TestCopiesThatCannotBe(t *testing.T) {
	one := func(rel string) func(*Input) {
		return func(in *Input) {
			in.Copies = []imagespec.Copy{{Field: "copy", Dest: "d", Files: []imagespec.Copied{{Rel: rel}}}}
		}
	}
	for name, c := range map[string]struct {
		change func(*Input)
		text   string
	}{
		"whiteout":       {one(".wh.x"), "deletes files of the layers below"},
		"opaque":         {one("a/.wh..wh..opq"), "deletes files of the layers below"},
		"whiteout above": {one(".wh.d/x"), "deletes files of the layers below"},
		"no UTF-8":       {one("a\xff"), "which is not UTF-8"},
		"link of the base": {func(in *Input) {
			one("x")(in)
			in.Base.Files["/root/d"] = base.Entry{Mode: fs.ModeSymlink | 0o777, Link: "/etc"}
		}, "/root/d of the base is a link"},
		"refused":    {func(in *Input) { in.Refused = &imagespec.Refusal{Field: "copy", Reason: "no"} }, "copy: no"},
		"not listed": {func(in *Input) { in.Spec = spec(t, `{"requirements": "uv.lock", "copy": ["x"]}`) }, "was not listed"},
		"no sources": {func(in *Input) {
			in.Spec = spec(t, `{"requirements": "uv.lock", "source_root": ".", "source_copy_mode": {"__copymode__": "ALL"}}`)
		}, "was not listed"},
	} {
		in := input(t)
		c.change(&in)
		_, err := Make(in)
		var invalid *Invalid
		var unsupported *Unsupported
		if err == nil || !strings.Contains(err.Error(), c.text) || !errors.As(err, &invalid) && !errors.As(err, &unsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
