package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
)

func TestPackagesIntoAnEnvironment(t *testing.T) {
	pkg := func(name, version, url string) lockfile.Artifact {
		return lockfile.Artifact{Name: name, Version: version, URL: url, Hash: url}
	}
	direct := pkg("d", "1", "u")
	direct.Direct = &lockfile.Direct{URL: "https://x/d-1.whl"}
	moved := direct
	moved.Direct = &lockfile.Direct{URL: "https://y/d-1.whl"}
	const pypi, corp = "https://pypi.org/simple", "https://corp/simple"
	on := &installed{Packages: []lockfile.Artifact{pkg("a", "1.0", "base"), pkg("b", "1", "base"), direct}, Indexes: []string{pypi}}
	for name, tt := range map[string]struct {
		on      *installed
		add     []lockfile.Artifact
		indexes []string
		want    string // name version url; empty: refused
	}{
		"into nothing":                      {nil, []lockfile.Artifact{pkg("a", "2", "new")}, nil, "a 2 new"},
		"the same version stays":            {on, []lockfile.Artifact{pkg("a", "1", "new"), pkg("c", "1", "new")}, []string{corp}, "a 1.0 base, b 1 base, c 1 new, d 1 u"},
		"another replaces it":               {on, []lockfile.Artifact{pkg("a", "2", "new")}, []string{corp, pypi}, "a 2 new, b 1 base, d 1 u"},
		"another, where it is not offered":  {on, []lockfile.Artifact{pkg("a", "2", "new")}, []string{corp}, ""},
		"what was installed by an address":  {on, []lockfile.Artifact{pkg("d", "2", "new")}, []string{pypi}, ""},
		"its version from an index":         {on, []lockfile.Artifact{pkg("d", "1", "new")}, []string{pypi}, "a 1.0 base, b 1 base, d 1 u"},
		"an address instead":                {on, []lockfile.Artifact{{Name: "b", Version: "1", URL: "new", Direct: moved.Direct}}, nil, "a 1.0 base, b 1 new, d 1 u"},
		"the same address":                  {on, []lockfile.Artifact{direct}, nil, "a 1.0 base, b 1 base, d 1 u"},
		"another address, of the same file": {on, []lockfile.Artifact{moved}, nil, "a 1.0 base, b 1 base, d 1 u"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := tt.on.add(tt.add, tt.indexes)
			var got []string
			for _, a := range all {
				got = append(got, a.Name+" "+a.Version+" "+a.URL)
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("%s, want %s", s, tt.want)
			}
			var e *plan.Unsupported
			if refused := errors.As(err, &e); refused != (tt.want == "") || refused && e.Hint == "" {
				t.Errorf("error %v", err)
			}
		})
	}
	if n := len((*installed)(nil).pins()); n != 0 {
		t.Errorf("%d pins of nothing", n)
	}
	if p := on.pins(); len(p) != 3 || p[0].Name != "a" || p[0].Version != "1.0" {
		t.Errorf("%v", p)
	}
}
