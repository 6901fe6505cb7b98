package builder

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/progress"
)

// falsified is a wheel of which files are not what its RECORD says: it is made, then its RECORD replaced.
func (h *wheelhouse) falsified(t *testing.T, name string, files map[string]string) lockfile.Artifact {
	all := map[string]string{name + "-1.0.dist-info/extra.txt": "as it says\n"}
	record := name + "-1.0.dist-info/RECORD,,\n"
	for n, c := range files {
		all[n] = c
		record += n + ",sha256=AAAA,\n"
	}
	all[name+"-1.0.dist-info/RECORD"] = record
	return h.add(t, name, "1.0", all)
}

func TestFilesThatRecordIsWrongAbout(t *testing.T) {
	h := newWheelhouse(t)
	img, info := testBase(t)
	honest := h.add(t, "honest", "1.0", map[string]string{"honest.py": "x = 1\n"})
	doubtful := h.falsified(t, "doubtful", map[string]string{
		"doubtful.py": "y = 1\n", "doubtful-1.0.data/scripts/doubt": "#!python\nprint(1)\n",
	})
	p := makePlan(t, info, []lockfile.Artifact{doubtful, honest})
	strict := *p
	strict.StrictRecord = true
	if p.Key() != strict.Key() {
		t.Error("the setting changes what an image is called by, though not its bytes")
	}
	s := newStore(t, t.TempDir())
	b := newBuilder(s)

	refused := func(when string) {
		t.Helper()
		_, _, err := b.Build(t.Context(), &strict, img, progress.Discard)
		var wrong *RecordError
		if !errors.As(err, &wrong) || wrong.Package != "doubtful 1.0" || wrong.More != 1 || !strings.HasSuffix(wrong.File, "/bin/doubt") ||
			!strings.Contains(err.Error(), "not what the wheel's RECORD says") {
			t.Errorf("strict, %s: %v", when, err)
		}
	}
	refused("nothing made")
	for _, l := range p.Layers {
		if len(l.Packages) > 0 && l.Packages[0].Name == "doubtful" {
			if _, ok := s.Layer(l.Key); ok {
				t.Error("a refused layer was kept")
			}
		}
	}
	if left := b.Warnings(p); len(left) != 0 {
		t.Errorf("warnings of layers that are not there: %v", left)
	}
	if _, _, err := b.Build(t.Context(), p, img, progress.Discard); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as made, and as found again
		ws := b.Warnings(p)
		if len(ws) != 2 || ws[1].Package != "doubtful 1.0" || !strings.HasSuffix(ws[1].File, "/site-packages/doubtful.py") {
			t.Fatalf("warnings: %v", ws)
		}
		if _, stats, err := b.Build(t.Context(), p, img, progress.Discard); err != nil || stats.LayersMade != 0 {
			t.Fatal(stats, err)
		}
	}
	refused("made before")
}

func TestManyWarningsAreSummedUp(t *testing.T) {
	h := newWheelhouse(t)
	img, info := testBase(t)
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("many/f%02d.py", i)] = "x\n"
	}
	p := makePlan(t, info, []lockfile.Artifact{h.falsified(t, "many", files)})
	b := newBuilder(newStore(t, t.TempDir()))
	if _, _, err := b.Build(t.Context(), p, img, progress.Discard); err != nil {
		t.Fatal(err)
	}
	ws := b.Warnings(p)
	if len(ws) != warningsShown+1 || ws[warningsShown].String() != "many 1.0: 20 more files are not what RECORD says" {
		t.Errorf("%d warnings, the last %v", len(ws), ws[len(ws)-1])
	}
}
