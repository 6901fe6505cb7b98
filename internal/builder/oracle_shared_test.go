package builder

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Of a file and a launcher that several packages own, uv with one worker leaves the last one's by name; so does a layer.
func TestOneFileOfManyLikeUV(t *testing.T) {
	o := newOracle(t)
	h := newWheelhouse(t)
	var artifacts []lockfile.Artifact
	var urls []string
	for _, name := range []string{"dd", "aa", "cc", "bb"} { // not the order of their names
		a := h.add(t, name, "1.0", map[string]string{
			"shared/owner.py": "owner = " + name + "\n", name + "-1.0.dist-info/entry_points.txt": "[console_scripts]\nowner = " + name + ":main\n",
		})
		artifacts = append(artifacts, a)
		urls = append(urls, name+" @ "+a.URL)
	}
	slices.SortFunc(artifacts, func(a, b lockfile.Artifact) int { return strings.Compare(a.Name, b.Name) })
	ps := openAll(t, h, artifacts)
	for _, mode := range []string{"copy", "hardlink"} {
		t.Setenv("UV_CONCURRENT_INSTALLS", "1")
		o.linkMode = mode
		dir := o.sync(t, oracleProject{dependencies: urls})
		files, err := ps.files(artifacts, schemeAt(filepath.Join(dir, ".venv"), o.version))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range files {
			if base := filepath.Base(f.Path); base != "owner" && base != "owner.py" {
				continue
			}
			n++
			data, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			if f.from.Name != "dd" || !strings.Contains(string(data), "dd") {
				t.Errorf("%s, %s: ours is of %s, uv's is\n%s", mode, filepath.Base(f.Path), f.from.Name, data)
			}
		}
		if n != 2 {
			t.Errorf("%d files are shared, not 2", n)
		}
	}
}

// openAll opens wheels of h.
func openAll(t *testing.T, h *wheelhouse, artifacts []lockfile.Artifact) packages {
	t.Helper()
	paths := map[string]string{}
	for _, a := range artifacts {
		paths[a.Hash] = filepath.Join(t.TempDir(), a.Filename)
		if err := os.WriteFile(paths[a.Hash], h.files[a.Filename], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ps, err := openPackages(plan.Layer{Packages: artifacts}, paths, wheel.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ps.close)
	return ps
}
