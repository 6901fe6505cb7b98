package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// below is Below for a project with Python 3.12.
func below(t *testing.T, kwargs string, b base.Info) []Step {
	t.Helper()
	steps, err := Below(spec(t, kwargs), b, "3.12")
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestAptIsExecutedOnTheBaseAlone(t *testing.T) {
	b := debian()
	steps := below(t, `{"requirements": "uv.lock", "apt_packages": ["git", "curl"]}`, b)
	if len(steps) != 1 || !strings.Contains(steps[0].Args[2], "apt-get install -y --no-install-recommends git curl") {
		t.Fatalf("%+v", steps)
	}
	key := func(kwargs, on string) string { return below(t, kwargs, b)[0].On(on).Key }
	first := key(`{"requirements": "uv.lock", "apt_packages": ["git", "curl"], "env": {"A": "b"}}`, "sha256:a")
	for name, same := range map[string]bool{
		key(`{"requirements": "poetry.lock", "apt_packages": ["git", "curl"]}`, "sha256:a"): true,
		key(`{"requirements": "uv.lock", "apt_packages": ["git"]}`, "sha256:a"):             false,
		key(`{"requirements": "uv.lock", "apt_packages": ["git", "curl"]}`, "sha256:c"):     false,
	} {
		if (name == first) != same {
			t.Errorf("same key: %v, want %v", name == first, same)
		}
	}
	if len(below(t, `{"requirements": "uv.lock", "apt_packages": []}`, b)) != 0 {
		t.Error("an empty list is executed")
	}
}

func TestCommandsRunOnWhatLiesBelow(t *testing.T) {
	made := func(change func(*Input)) *Plan {
		in := input(t)
		in.Spec = spec(t, `{"requirements": "uv.lock", "commands": ["make", "true"], "env": {"A": "b"}}`)
		if change != nil {
			change(&in)
		}
		p, err := Make(in)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := made(nil)
	st := p.Above
	if st == nil || st.Args[2] != "make && true" || !slices.Contains(st.Env, "A=b") || !slices.Contains(st.Env, "PYTHONPATH=/root") {
		t.Fatalf("%+v", st)
	}
	for _, e := range st.Env {
		if strings.HasPrefix(e, "_F_IMG_ID=") {
			t.Error("the id of the image would have them run again for nothing")
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Input)
		again  bool
	}{
		{"another name and id", func(in *Input) { in.ID, in.Name = "other", "other:tag" }, false},
		{"a package", func(in *Input) { in.Artifacts = artifacts(4) }, true},
		{"the base's layers", func(in *Input) { in.Base.DiffIDs = []string{"sha256:x"} }, true},
		{"a variable", func(in *Input) {
			in.Spec = spec(t, `{"requirements": "uv.lock", "commands": ["make", "true"], "env": {"A": "c"}}`)
		}, true},
	} {
		q := made(c.change)
		if again := q.Above.Key != st.Key; again != c.again {
			t.Errorf("%s: run again: %v, want %v", c.name, again, c.again)
		}
	}
	if p.Key() == made(func(in *Input) { in.Spec = imagespec.Spec{} }).Key() {
		t.Error("the plan's key does not know of commands")
	}
}

func TestCommandsUseTheBasesShellAndTheSpecsUV(t *testing.T) {
	in := input(t)
	in.Spec = spec(t, `{"requirements": "uv.lock", "commands": ["true"], "builder_config": {"uv_image": "house/uv:1"}}`)
	in.Base.Shell = []string{"/bin/bash", "-c"}
	p, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Above.Args, " "); got != "/bin/bash -c true" {
		t.Errorf("executed as %q", got)
	}
	if !p.Above.HasUV() || !slices.ContainsFunc(p.Above.Mounts, func(m Mount) bool { return m.Image == "house/uv:1" && m.Source == "/uv" }) {
		t.Errorf("%+v", p.Above.Mounts)
	}
}
