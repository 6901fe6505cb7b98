package base_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

// A layer is written one entry a line: "dir/", "file=content", "file*=content" (it can
// be executed), "link -> target", "hard => target".
func makeLayer(t testing.TB, lines ...string) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, line := range lines {
		h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}
		content := ""
		if name, target, ok := strings.Cut(line, " -> "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeSymlink, name, target
		} else if name, target, ok := strings.Cut(line, " => "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeLink, name, target
		} else if name, c, ok := strings.Cut(line, "*="); ok {
			h.Name, content, h.Mode = name, c, 0o755
		} else if name, c, ok := strings.Cut(line, "="); ok {
			h.Name, content = name, c
		} else {
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, line, 0o755
		}
		h.Size = int64(len(content))
		must(t, tw.WriteHeader(h))
		_, err := io.WriteString(tw, content)
		must(t, err)
	}
	must(t, tw.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func makeImage(t testing.TB, cfg v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: cfg})
	must(t, err)
	img, err = mutate.AppendLayers(mutate.MediaType(img, types.OCIManifestSchema1), layers...)
	must(t, err)
	return img
}

func writeLayout(t testing.TB, add ...mutate.IndexAddendum) string {
	t.Helper()
	dir := t.TempDir()
	_, err := layout.Write(dir, mutate.AppendManifests(empty.Index, add...))
	must(t, err)
	return "oci:" + dir
}

func resolve(t testing.TB, cfg v1.Config, layers ...v1.Layer) (*base.Base, error) {
	t.Helper()
	ref := writeLayout(t, mutate.IndexAddendum{Add: makeImage(t, cfg, layers...)})
	return base.NewResolver(base.Deps{}).Resolve(t.Context(), ref, "linux/amd64", progress.Discard)
}

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct {
		layers [][]string
		want   map[string]string // below /root: content, or "-> target", or "dir"
	}{
		"later wins": {
			[][]string{{"root/", "root/a=1", "root/b=1"}, {"root/a=2"}},
			map[string]string{"a": "2", "b": "1"},
		},
		"whiteout of a file and a tree": {
			[][]string{{"root/a=1", "root/d/e/f=1", "root/d/g=1"}, {"root/.wh.a=", "root/.wh.d="}},
			map[string]string{},
		},
		"whiteout and the same name anew, in both orders": {
			[][]string{
				{"root/d/old=1", "root/e/old=1"},
				{"root/.wh.d=", "root/d/", "root/d/new=2", "root/e/", "root/e/new=2", "root/.wh.e="},
			},
			map[string]string{"d": "dir", "d/new": "2", "e": "dir", "e/new": "2"},
		},
		"opaque, in both orders": {
			[][]string{
				{"root/d/old=1", "root/e/old=1", "root/e/sub/old=1"},
				{"root/d/", "root/d/.wh..wh..opq=", "root/d/new=2", "root/e/", "root/e/sub/new=2", "root/e/.wh..wh..opq="},
			},
			map[string]string{"d": "dir", "d/new": "2", "e": "dir", "e/sub": "dir", "e/sub/new": "2"},
		},
		"whiteout of nothing": {[][]string{{"root/a=1"}, {"root/.wh.b=", "none/.wh.c=", "root/.wh..wh.plnk="}}, map[string]string{"a": "1"}},
		"file over directory and back": {
			[][]string{{"root/a/x=1", "root/b=1"}, {"root/a=2", "root/b/y=2"}},
			map[string]string{"a": "2", "b": "dir", "b/y": "2"},
		},
		"directory over directory keeps what is in it": {[][]string{{"root/d/x=1"}, {"root/d/"}}, map[string]string{"d": "dir", "d/x": "1"}},
		"through a symlinked directory": {
			[][]string{{"root/real/", "root/link -> real", "opt/", "opt/up -> ../root"}, {"root/link/a=1", "opt/up/b=2"}, {"opt/up/.wh.b="}},
			map[string]string{"real": "dir", "link": "-> real", "real/a": "1"},
		},
		"hard link": {[][]string{{"root/a=1", "root/b => root/a"}, {"root/a=2"}}, map[string]string{"a": "2", "b": "1"}},
		"odd names": {[][]string{{"./root/./a=1", "/root/b=1", "../../root/c=1"}}, map[string]string{"a": "1", "b": "1", "c": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var layers []v1.Layer
			for _, l := range c.layers {
				layers = append(layers, makeLayer(t, l...))
			}
			b, err := resolve(t, v1.Config{}, layers...)
			must(t, err)
			got := map[string]string{}
			for p, e := range b.Info.Files {
				rel, ok := strings.CutPrefix(p, "/root/")
				switch {
				case !ok:
				case e.Mode.IsDir():
					got[rel] = "dir"
				case e.Link != "":
					got[rel] = "-> " + e.Link
				default:
					got[rel] = string(e.Content)
				}
			}
			for rel := range got { // directories are implied
				if got[rel] == "dir" && c.want[rel] == "" {
					delete(got, rel)
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %v", got)
			}
		})
	}
}

const elf = "\x7fELF......"

func TestPython(t *testing.T) {
	path := v1.Config{Env: []string{"PATH=/opt/venv/bin:relative:/usr/local/bin:/usr/bin"}}
	glibc := "usr/lib/x86_64-linux-gnu/libc.so.6=" + elf + "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\x00"
	for name, c := range map[string]struct {
		cfg   v1.Config
		files []string
		want  base.Python
		fails string
	}{
		"version in the binary": {
			path, []string{"usr/bin/python3 -> python3.11", "usr/bin/python3.11*=" + elf + "\x003.2.0\x00\x003.11.2\x00"},
			base.Python{Path: "/usr/bin/python3.11", Link: "/usr/bin/python3", Version: "3.11.2"}, "",
		},
		"in the library": {
			path, []string{"usr/local/bin/python -> python3.12", "usr/local/bin/python3.12*=" + elf, "usr/local/lib/libpython3.12.so.1.0=" + elf + "\x003.12.1\x00"},
			base.Python{Path: "/usr/local/bin/python3.12", Link: "/usr/local/bin/python", Version: "3.12.1"}, "",
		},
		"in the library, Debian's place": {
			path, []string{"lib -> usr/lib", "usr/bin/python3.12*=" + elf, "usr/lib/x86_64-linux-gnu/libpython3.12.so.1.0=" + elf + "\x003.12.3+\x00"},
			base.Python{Path: "/usr/bin/python3.12", Link: "/usr/bin/python3.12", Version: "3.12.3"}, "",
		},
		"in the header": {
			path, []string{"usr/local/bin/python3*=" + elf, "usr/local/lib/python3.14/os.py=", "usr/local/include/python3.14/patchlevel.h=#define PY_VERSION    \"3.14.0rc2+\"\n"},
			base.Python{Path: "/usr/local/bin/python3", Link: "/usr/local/bin/python3", Version: "3.14.0rc2"}, "",
		},
		"environment is but a hint": {
			v1.Config{Env: append([]string{"PYTHON_VERSION=3.9.1"}, path.Env...)},
			[]string{"usr/bin/python3 -> python3.11", "usr/bin/python3.11*=" + elf + "\x003.11.2\x00"},
			base.Python{Path: "/usr/bin/python3.11", Link: "/usr/bin/python3", Version: "3.11.2"}, "",
		},
		"first on PATH, through links": {
			path, []string{
				"opt/venv -> /srv/v", "srv/v/bin/python3 -> ../../../opt/py/bin/python3.10", "opt/py/bin/python3.10*=" + elf + "\x003.10.4\x00",
				"usr/bin/python3*=" + elf,
			},
			base.Python{Path: "/opt/py/bin/python3.10", Link: "/opt/venv/bin/python3", Version: "3.10.4"}, "",
		},
		"below a home": {
			v1.Config{Env: []string{"PATH=/opt/micromamba/bin"}},
			[]string{"opt/micromamba/bin/python3.11*=" + elf + "\x003.11.9\x00"},
			base.Python{Path: "/opt/micromamba/bin/python3.11", Link: "/opt/micromamba/bin/python3.11", Version: "3.11.9"}, "",
		},
		"free-threaded, by its name": {
			path, []string{"usr/local/bin/python3 -> python3.13t", "usr/local/bin/python3.13t*=" + elf, "usr/local/include/python3.13t/patchlevel.h=#define PY_VERSION \"3.13.2\"\n"},
			base.Python{Path: "/usr/local/bin/python3.13t", Link: "/usr/local/bin/python3", Version: "3.13.2", FreeThreaded: true}, "",
		},
		"free-threaded, by what it says": {
			path, []string{"usr/local/bin/python3.14*=" + elf + "\x003.14.1\x00%.80s free-threading build (%.80s) %.80s\x00", "usr/local/lib/python3.14t/os.py="},
			base.Python{Path: "/usr/local/bin/python3.14", Link: "/usr/local/bin/python3.14", Version: "3.14.1", FreeThreaded: true}, "",
		},
		"free-threaded, by its only library": {
			path, []string{"usr/local/bin/python3.13*=" + elf, "usr/local/lib/libpython3.13t.so.1.0=" + elf + "\x003.13.1\x00%.80s experimental free-threading build (%.80s) %.80s\x00"},
			base.Python{Path: "/usr/local/bin/python3.13", Link: "/usr/local/bin/python3.13", Version: "3.13.1", FreeThreaded: true}, "",
		},
		"both builds: the one that is found first": {
			path, []string{
				"usr/local/bin/python3 -> python3.13", "usr/local/bin/python3.13*=" + elf, "usr/local/bin/python3.13t*=" + elf,
				"usr/local/lib/libpython3.13.so.1.0=" + elf + "\x003.13.1\x00", "usr/local/lib/libpython3.13t.so.1.0=" + elf + "\x003.13.1\x00free-threading build (",
			},
			base.Python{Path: "/usr/local/bin/python3.13", Link: "/usr/local/bin/python3", Version: "3.13.1"}, "",
		},
		"no python3 but a free-threaded one": {
			path, []string{"usr/bin/python3.13t*=" + elf + "\x003.13.1\x00"},
			base.Python{Path: "/usr/bin/python3.13t", Link: "/usr/bin/python3.13t", Version: "3.13.1", FreeThreaded: true}, "",
		},
		"none":                  {cfg: path, files: []string{"usr/bin/python2.7*=" + elf, "usr/bin/python -> python2.7", "usr/bin/python3 -> loop", "usr/bin/loop -> python3"}},
		"not to be executed":    {cfg: path, files: []string{"usr/bin/python3=" + elf}},
		"PyPy":                  {cfg: path, files: []string{"usr/local/bin/python3 -> /opt/pypy/bin/pypy3.10", "opt/pypy/bin/pypy3.10*=" + elf}, fails: "is PyPy; only CPython"},
		"PyPy under our name":   {cfg: path, files: []string{"usr/local/bin/python3*=" + elf + "libpypy3.10-c.so"}, fails: "is PyPy; only CPython"},
		"a script":              {cfg: path, files: []string{"usr/local/bin/python3*=#!/bin/bash\nexec pyenv"}, fails: "is a script (#!/bin/bash)"},
		"version not to be had": {cfg: path, files: []string{"usr/local/bin/python3.11*=" + elf}, fails: "the version of its Python (/usr/local/bin/python3.11) cannot be found"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := resolve(t, c.cfg, makeLayer(t, append([]string{glibc}, c.files...)...))
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || !errors.Is(err, base.ErrUnusable) {
					t.Errorf("error is %v", err)
				}
				return
			}
			must(t, err)
			if b.Info.Python == nil {
				if c.want != (base.Python{}) {
					t.Error("none was found")
				}
				return
			}
			if *b.Info.Python != c.want {
				t.Errorf("got %+v", *b.Info.Python)
			}
			if b.Info.Libc != (pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}) {
				t.Errorf("libc %+v", b.Info.Libc)
			}
		})
	}
}

func TestLibc(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  pypa.Libc
	}{
		"old name":       {[]string{"lib64/libc.so.6 -> libc-2.28.so", "lib64/libc-2.28.so*=" + elf}, pypa.Libc{Kind: "glibc", Major: 2, Minor: 28}},
		"merged /usr":    {[]string{"lib -> usr/lib", "usr/lib/libc.so.6=" + elf + "GNU C Library (GNU libc) stable release version 2.41.\x00"}, pypa.Libc{Kind: "glibc", Major: 2, Minor: 41}},
		"musl":           {[]string{"lib/ld-musl-x86_64.so.1*=" + elf + "\x001.2.5\x00", "lib/libc.musl-x86_64.so.1 -> ld-musl-x86_64.so.1"}, pypa.Libc{Kind: "musl", Major: 1, Minor: 2}},
		"musl of Debian": {[]string{"lib/ld-musl-x86_64.so.1 -> x86_64-linux-musl/libc.so", "lib/x86_64-linux-musl/libc.so=" + elf + "\x001.2.3\x00"}, pypa.Libc{Kind: "musl", Major: 1, Minor: 2}},
		"none":           {[]string{"app*=" + elf}, pypa.Libc{}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := resolve(t, v1.Config{}, makeLayer(t, c.files...))
			must(t, err)
			if b.Info.Libc != c.want {
				t.Errorf("got %+v", b.Info.Libc)
			}
		})
	}
}

// Text that is sought may lie across the border of two windows.
func TestScanAcrossWindows(t *testing.T) {
	for shift := -12; shift <= 12; shift++ {
		b, err := resolve(t, v1.Config{}, makeLayer(t, "usr/bin/python3.11*="+strings.Repeat("x", 256<<10+512+shift)+"\x003.11.7\x00"))
		must(t, err)
		if b.Info.Python.Version != "3.11.7" {
			t.Errorf("shift %d: %+v", shift, b.Info.Python)
		}
	}
}

func TestTooMuchToOwn(t *testing.T) {
	big := "=" + strings.Repeat("x", 36<<20)
	_, err := resolve(t, v1.Config{}, makeLayer(t, "root/a"+big, "home/u/b"+big))
	if err == nil || !strings.Contains(err.Error(), "72 MiB in /root, /home and /opt/micromamba") {
		t.Errorf("%v", err)
	}
	if _, err := resolve(t, v1.Config{}, makeLayer(t, "root/a"+big), makeLayer(t, "root/.wh.a=", "home/u/b"+big), makeLayer(t, "home/u/.wh.b=", "root/c"+big),
		makeLayer(t, "root/.wh.c=", "root/d"+big)); err != nil {
		t.Errorf("what is removed does not count: %v", err)
	}
}

func TestIndex(t *testing.T) {
	arm := makeImage(t, v1.Config{}, makeLayer(t, "etc/passwd=arm"))
	amd := makeImage(t, v1.Config{}, makeLayer(t, "etc/passwd=amd"))
	platform := func(arch, variant string) v1.Descriptor {
		return v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch, Variant: variant}}
	}
	inner := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: arm, Descriptor: platform("arm64", "v8")},
		mutate.IndexAddendum{Add: amd, Descriptor: platform("amd64", "")},
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
	)
	ref := writeLayout(t, mutate.IndexAddendum{Add: inner, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": "a:b"}}})
	r := base.NewResolver(base.Deps{})
	b, err := r.Resolve(t.Context(), ref+":a:b", "linux/amd64", progress.Discard)
	must(t, err)
	if string(b.Info.Files["/etc/passwd"].Content) != "amd" {
		t.Error("the wrong one was chosen")
	}
	_, err = r.Resolve(t.Context(), ref, "linux/riscv64", progress.Discard)
	if !errors.Is(err, base.ErrPlatform) || !strings.Contains(err.Error(), "it is for linux/arm64/v8, linux/amd64, but linux/riscv64 is asked for") {
		t.Errorf("%v", err)
	}
}

func TestDamagedLayout(t *testing.T) {
	s := openStore(t)
	img := makeImage(t, v1.Config{}, makeLayer(t, "etc/passwd=x"))
	ref := writeLayout(t, mutate.IndexAddendum{Add: img})
	layers, _ := img.Layers()
	h, _ := layers[0].Digest()
	path := filepath.Join(strings.TrimPrefix(ref, "oci:"), "blobs", "sha256", h.Hex)
	raw, err := os.ReadFile(path)
	must(t, err)
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(path, raw, 0o644))
	_, err = base.NewResolver(base.Deps{Blobs: s, Cache: s}).Resolve(t.Context(), ref, "linux/amd64", progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "expected "+h.String()) {
		t.Errorf("%v", err)
	}
	if has(s, h) {
		t.Error("the damaged layer was kept")
	}
}

// Of an environment in the base only that it is there: it is hidden or kept as a whole, however big it is.
func TestEnvironmentsAreLeftOut(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	b, err := resolve(t, v1.Config{Env: []string{"PATH=/root/.venv/bin:/usr/local/bin"}},
		makeLayer(t, "usr/local/bin/python3.11*=\x003.11.9\x00", "usr/local/bin/python3 -> python3.11",
			"root/", "root/.venv/", "root/.venv/bin/", "root/.venv/bin/python3*=\x003.12.1\x00", "root/.venv/lib/big.so="+big, "root/kept=1",
			"opt/micromamba/envs/runtime/lib/big.so="+big, "opt/micromamba/x=2"))
	must(t, err)
	if b.Info.Python == nil || b.Info.Python.Path != "/usr/local/bin/python3.11" {
		t.Errorf("Python is %+v", b.Info.Python)
	}
	for p := range b.Info.Files {
		if strings.HasPrefix(p, "/root/.venv/") || strings.HasPrefix(p, "/opt/micromamba/envs/runtime/") {
			t.Errorf("%s is kept", p)
		}
	}
	for _, p := range []string{"/root/.venv", "/opt/micromamba/envs/runtime"} {
		if _, ok := b.Info.Files[p]; !ok {
			t.Errorf("that there is %s is not told", p)
		}
	}
	if string(b.Info.Files["/root/kept"].Content) != "1" || string(b.Info.Files["/opt/micromamba/x"].Content) != "2" {
		t.Error("what lies beside is lost")
	}
}
