package plan

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
)

// ours is what a plan sees of an image that it made itself.
func ours(t *testing.T) base.Info {
	p := mustMake(t, input(t))
	b := debian()
	b.Ref, b.From, b.Env = "localhost:5000/team/churn:tag", "nested", p.Config.Env
	for _, l := range p.Layers {
		for _, f := range l.Files {
			if !strings.HasPrefix(f.Path, venvDir+"/") {
				b.Files[f.Path] = base.Entry{Mode: f.Mode, UID: f.Owner.UID, GID: f.Owner.GID, Link: f.Link, Content: f.Data}
			}
		}
	}
	return b
}

// The environment of the base is hidden once, by the lowest layer that has one of ours.
func TestVenvOfTheBaseIsHiddenAsAWhole(t *testing.T) {
	in := input(t)
	in.Base = ours(t)
	p := mustMake(t, in)
	for i, l := range p.Layers {
		for _, f := range l.Files {
			if want := f.Path == venvDir && l.Kind == Venv; f.Opaque != want {
				t.Errorf("layer %d (%s): %s hides what lies below: %v", i, l.Kind, f.Path, f.Opaque)
			}
		}
	}
	fresh := mustMake(t, input(t))
	if fresh.Layers[1].Key == p.Layers[1].Key {
		t.Error("the key does not tell that the base's environment is hidden")
	}
	if len(p.Layers) != len(fresh.Layers) || p.Layers[2].Key != fresh.Layers[2].Key {
		t.Error("a package's layer depends on whether the base had an environment")
	}
	for _, f := range fresh.Layers[1].Files {
		if f.Opaque {
			t.Errorf("%s hides something, and there is nothing", f.Path)
		}
	}
}

// On a base of our own making the default builder finds its user, and says PATH once more.
func TestSystemLayerOnAnImageOfOurs(t *testing.T) {
	in := input(t)
	in.Base = ours(t)
	p := mustMake(t, in)
	for _, f := range p.Layers[0].Files {
		if f.Mode.IsRegular() && f.Path != "/home/flytekit/.profile" {
			t.Errorf("%s is written again", f.Path)
		}
	}
	profile := at(t, p.Layers[0], "/home/flytekit/.profile")
	var exports []string
	for line := range strings.Lines(string(profile.Data)) {
		if strings.HasPrefix(line, "export PATH=") {
			exports = append(exports, strings.TrimSpace(line))
		}
	}
	nvidia := ":/usr/local/nvidia/bin:/usr/local/cuda/bin"
	once := venvDir + "/bin:" + runtimeBin + ":" + basePath + nvidia
	twice := venvDir + "/bin:" + runtimeBin + ":" + once + nvidia
	if len(exports) != 2 || exports[0] != "export PATH="+once || exports[1] != "export PATH="+twice {
		t.Errorf("profile: %q", exports)
	}
	env := variables(p.Config.Env)
	if got, _ := env.get("PATH"); got != twice {
		t.Errorf("PATH is %s", got)
	}
	if got, _ := env.get("LD_LIBRARY_PATH"); got != "/usr/local/nvidia/lib64:/usr/local/nvidia/lib64:" {
		t.Errorf("LD_LIBRARY_PATH is %s", got)
	}
	if got := p.Config.Labels[labelBaseName]; got != in.Base.Ref {
		t.Errorf("base.name is %q", got)
	}
	if f := at(t, p.Layers[0], "/home/flytekit"); f.Mode != fs.ModeDir|0o755 || f.Owner.UID != 1000 {
		t.Errorf("home: %+v", f)
	}
}
