package plan

import (
	"path"
	"strings"

	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Bytecode is how the layers of packages get .pyc files.
type Bytecode struct {
	// Python is one of the host, or without a Path the image's own; its version decides the bytes.
	Python bytecode.Python
	All    bool // of tests too
}

// bytecodeFormat grows whenever the same source and Python make other bytes than before.
const bytecodeFormat = 2

// hash adds what decides the bytes of .pyc files; nothing where there are none.
func (b *Bytecode) hash(d digest) {
	if b == nil {
		return
	}
	d.text("bytecode", b.Python.Version, b.Python.Tag)
	d.number(bytecodeFormat)
	if b.All {
		d.number(1)
	}
}

// Key is of what a package is compiled to. It lies at the same paths in every layer.
func (b *Bytecode) Key(s wheel.Scheme, a lockfile.Artifact) string {
	d := newDigest("bytecode")
	d.text(s.SitePackages, a.Filename, a.Hash, b.Python.Version, b.Python.Tag)
	d.number(bytecodeFormat)
	return d.String()
}

// maxName is how long a file's name may be.
const maxName = 255

// Cached returns where the .pyc of an installed file lies. It has one if installers
// would compile it: a source in site-packages; without All, not below a directory
// named tests, which are a third of all sources and which no program imports.
func (b *Bytecode) Cached(s wheel.Scheme, file string) (string, bool) {
	below, ok := strings.CutPrefix(file, s.SitePackages+"/")
	name, source := strings.CutSuffix(path.Base(file), ".py")
	if b == nil || !ok || !source || name == "" {
		return "", false
	}
	for dir := range strings.SplitSeq(path.Dir(below), "/") {
		if dir == "__pycache__" || dir == "tests" && !b.All {
			return "", false
		}
	}
	name += "." + b.Python.Tag + ".pyc"
	return path.Dir(file) + "/__pycache__/" + name, len(name) <= maxName
}
