package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/index"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

// What pip_extra_args ask of a lock is what is pinned; builder="envd" does not look at them.
func TestPinsOfChoice(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../lockfile/testdata/uv/extras")); err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "uv.lock"))
	if err != nil {
		t.Fatal(err)
	}
	p := Pipeline{Locks: &Locks{}, Logins: func(...index.Index) {}}
	at := place{base: &base.Base{Info: base.Info{Platform: "linux/amd64", Python: &base.Python{Version: "3.11.11"}, Libc: pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}}}}
	for _, c := range []struct {
		more     string
		six, h11 bool
		fails    string
	}{
		{more: ``, h11: true},
		{more: `, "pip_extra_args": "--extra one --no-install-package h11"`, six: true},
		{more: `, "pip_extra_args": "--extra one --no-install-package h11", "builder": "envd"`, h11: true},
		{more: `, "pip_extra_args": "--extra nope"`, fails: "uv.lock: pyproject.toml: extra nope is not defined"},
		{more: `, "pip_extra_args": "--frozen"`, fails: "pip_extra_args: --frozen cannot be used with --locked"},
	} {
		fields, err := imagespec.ParseKwargs(fmt.Appendf(nil, `{"requirements": "uv.lock"%s}`, c.more))
		if err != nil {
			t.Fatal(err)
		}
		s := Spec{Dir: dir, Cwd: dir, Fields: fields, Named: imagespec.Named{Inputs: []imagespec.Input{{Path: filepath.Join(dir, "uv.lock"), Digest: digest(lock), Named: true}}}}
		var as []lockfile.Artifact
		pin, err := p.pins(t.Context(), s)
		if err == nil {
			as, err = pin(at)
		}
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: error is %v", c.more, err)
			}
			continue
		}
		has := func(name string) bool {
			return slices.ContainsFunc(as, func(a lockfile.Artifact) bool { return a.Name == name })
		}
		if err != nil || has("six") != c.six || has("h11") != c.h11 {
			t.Errorf("%s: error %v, pins %v", c.more, err, as)
		}
	}
}
