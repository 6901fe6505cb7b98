package base

import (
	"cmp"
	"path"
	"regexp"
	"slices"
)

var interpreterName = regexp.MustCompile(`^python(3(\.\d+t?)?)?$`)

// maxPythons bounds what is noted of a base that was made to have very many.
const maxPythons = 64

// pythons lists the interpreters below directories named bin that packages can be chosen for. One whose version cannot be
// told by itself is left out: what the image's environment says is true of one at most.
func pythons(t *tree) []Python {
	var found []Python
	t.root.each("/", func(p string, _ *node) {
		if path.Base(path.Dir(p)) != "bin" || !interpreterName.MatchString(path.Base(p)) || inVenv(p) || len(found) >= maxPythons {
			return
		}
		n, real := t.walk(p, maxLinks)
		if n == nil || n.file == nil || n.mode&0o111 == 0 || inVenv(real) {
			return
		}
		if py, err := cpython(t, p, n, real, nil); err == nil {
			found = append(found, *py)
		}
	})
	slices.SortFunc(found, func(a, b Python) int { return cmp.Compare(a.Link, b.Link) })
	return found
}
