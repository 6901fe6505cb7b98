package pypa

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// golden is what the Python package "packaging" answers; testdata/golden.py writes it.
type golden struct {
	Versions []struct {
		Text, Normal string
		Pre, Bad     bool
	}
	Order      [][]string // equal versions together, lowest first
	Specifiers []struct {
		Spec string
		In   []string
	}
	Markers []struct {
		Marker, Extra string
		Holds         bool
	}
	Tags []struct {
		Python, Arch, First, SHA256 string
		Libc                        [3]any
		Count                       int
		Free                        bool
	}
}

func readGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestVersionsAsPackaging(t *testing.T) {
	g := readGolden(t)
	for _, c := range g.Versions {
		v, err := ParseVersion(c.Text)
		if (err != nil) != c.Bad {
			t.Errorf("ParseVersion(%q): error %v, packaging refuses it: %t", c.Text, err, c.Bad)
			continue
		}
		if err == nil && (v.String() != c.Normal || v.IsPrerelease() != c.Pre) {
			t.Errorf("ParseVersion(%q) = %s, pre-release %t; packaging has %s, %t", c.Text, v, v.IsPrerelease(), c.Normal, c.Pre)
		}
	}
	for i, low := range g.Order {
		for j, high := range g.Order {
			for _, a := range low {
				for _, b := range high {
					if got := mustVersion(t, a).Compare(mustVersion(t, b)); sign(got) != sign(i-j) {
						t.Errorf("%s compared with %s is %d, packaging has %d", a, b, got, sign(i-j))
					}
				}
			}
		}
	}
}

func TestSpecifiersAsPackaging(t *testing.T) {
	g := readGolden(t)
	for _, c := range g.Specifiers {
		spec, err := ParseSpecifiers(c.Spec)
		if err != nil {
			t.Errorf("ParseSpecifiers(%q): %v", c.Spec, err)
			continue
		}
		for _, v := range slices.Concat(g.Order...) {
			want := slices.Contains(c.In, v)
			if got := spec.Contains(mustVersion(t, v)); got != want {
				t.Errorf("%s contains %s: %t, packaging says %t", c.Spec, v, got, want)
			}
		}
	}
}

func TestMarkersAsPackaging(t *testing.T) {
	env := Environment{Python: "3.11.4", OS: "linux", Arch: "amd64", Libc: Libc{"glibc", 2, 36}}.Markers()
	for _, c := range readGolden(t).Markers {
		m, err := ParseMarker(c.Marker)
		if err != nil {
			t.Error(err)
			continue
		}
		var extras []string
		if c.Extra != "" {
			extras = []string{c.Extra}
		}
		if got := m.Eval(env, extras...); got != c.Holds {
			t.Errorf("%s with extra %q: %t, packaging says %t", c.Marker, c.Extra, got, c.Holds)
		}
	}
}

func TestTagsAsPackaging(t *testing.T) {
	arch := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
	for _, c := range readGolden(t).Tags {
		e := Environment{Python: c.Python, FreeThreaded: c.Free, OS: "linux", Arch: arch[c.Arch],
			Libc: Libc{c.Libc[0].(string), int(c.Libc[1].(float64)), int(c.Libc[2].(float64))}}
		tags := e.Tags()
		var lines []string
		for _, tag := range tags {
			lines = append(lines, tag.String())
		}
		sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
		if len(tags) != c.Count || lines[0] != c.First || hex.EncodeToString(sum[:]) != c.SHA256 {
			t.Errorf("%s: %d tags from %s, packaging has %d from %s in an order of its own", e, len(tags), lines[0], c.Count, c.First)
		}
	}
}

func mustVersion(t *testing.T, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
