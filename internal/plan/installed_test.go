package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
)

// runtime is a spec with packages on a base.
func runtime(t *testing.T, b base.Info, packages int) Input {
	in := input(t)
	in.Spec, in.Base, in.Artifacts = spec(t, `{"name": "train", "packages": ["x"]}`), b, artifacts(packages)
	return in
}

// made is what is seen of the image of a plan, and the diffIDs of the layers that are its environment. Their keys stand for their diffIDs.
func made(b base.Info, p *Plan) (base.Info, []string) {
	var env []string
	files := map[string]base.Entry{}
	for path, e := range b.Files {
		files[path] = e
	}
	b.Files, b.DiffIDs = files, slices.DeleteFunc(slices.Clone(b.DiffIDs), func(id string) bool { return slices.Contains(p.Without, id) })
	for _, l := range p.Layers {
		b.DiffIDs = append(b.DiffIDs, l.Key)
		if l.Kind != System {
			env = append(env, l.Key)
		}
		for _, f := range l.Files {
			if !strings.HasPrefix(f.Path, p.Prefix.Prefix+"/") {
				b.Files[f.Path] = base.Entry{Mode: f.Mode, UID: f.Owner.UID, GID: f.Owner.GID, Link: f.Link, Content: f.Data}
			}
		}
	}
	b.Ref, b.From, b.Env, b.Layers = p.Name, "nested", p.Config.Env, len(b.DiffIDs)
	b.Digest = "sha256:" + strings.Repeat("c", 64)
	return b, env
}

func twoLayers() base.Info {
	b := debian()
	b.DiffIDs = []string{"one", "two"}
	return b
}

// The environment of the base is left out and laid again: every layer of the base that still holds the same is the base's.
// So it is however long the chain grows.
func TestLayersOfTheBaseAreUsedAgain(t *testing.T) {
	for _, n := range []int{3, 60, 200} {
		core := mustMake(t, runtime(t, twoLayers(), n))
		b, env := made(twoLayers(), core)
		for i := range 3 {
			in := runtime(t, b, n)
			in.Artifacts[1].Version, in.Artifacts[1].Hash = "2.0", fmt.Sprintf("sha256:%064d", 1000+i)
			in.Installed = &Installed{Layers: env}
			train := mustMake(t, in)
			if !slices.Equal(train.Without, env) || train.Base.Layers != len(b.DiffIDs)-len(env) {
				t.Fatalf("%d packages: without %d layers, on %d", n, len(train.Without), train.Base.Layers)
			}
			if in.Base.Files[runtimeDir].Mode == 0 {
				t.Error("the caller's base was changed")
			}
			var other []string
			for n, l := range train.Layers[1:] {
				if l.Key != core.Layers[n+1].Key {
					other = append(other, l.Title)
				}
				for _, f := range l.Files {
					if f.Opaque {
						t.Errorf("%s hides what is left out", f.Path)
					}
				}
			}
			if len(other) != 1 || !strings.Contains(other[0], "pkg001") && !strings.Contains(other[0], "packages") {
				t.Errorf("%d packages, one of which is another: layers %q are", n, other)
			}
			for _, f := range train.Layers[0].Files {
				if strings.HasPrefix(f.Path, "/opt") {
					t.Errorf("%s is written again", f.Path)
				}
			}
			b, env = made(b, train)
			core = train
		}
	}
}

// What is in an environment of somebody else's is not known.
func TestAnEnvironmentThatIsNotKnown(t *testing.T) {
	b, _ := made(twoLayers(), mustMake(t, runtime(t, twoLayers(), 3)))
	for from, hint := range map[string]string{"registry": "make the base an ImageSpec", "nested": "build the base again"} {
		b.From = from
		var e *Unsupported
		if _, err := Make(runtime(t, b, 3)); !errors.As(err, &e) || !strings.Contains(e.Hint, hint) || !strings.Contains(e.Reason, "not known") {
			t.Errorf("from %s: %v", from, err)
		}
	}
	in := input(t) // a lock's environment is elsewhere
	in.Base = b
	mustMake(t, in)
}

// On a base with a lock packages go where the default builder's Python is, before the lock's on PATH, and see nothing of it.
func TestPackagesOnALock(t *testing.T) {
	b, env := made(twoLayers(), mustMake(t, input(t)))
	p := mustMake(t, runtime(t, b, 3))
	path, _ := variables(p.Config.Env).get("PATH")
	if !strings.HasPrefix(path, runtimeBin+":"+venvDir+"/bin:") || p.Prefix.Prefix != runtimeDir || len(p.Without) != 0 {
		t.Errorf("into %s, PATH %s, without %v", p.Prefix.Prefix, path, p.Without)
	}
	if python, _ := variables(p.Config.Env).get("UV_PYTHON"); python != runtimeBin+"/python" {
		t.Errorf("UV_PYTHON is %s", python)
	}
	// A lock on a lock of ours does without the base's.
	in := input(t)
	in.Base, in.Installed = b, &Installed{Layers: env}
	again := mustMake(t, in)
	if !slices.Equal(again.Without, env) || again.Layers[1].Key != mustMake(t, input(t)).Layers[1].Key {
		t.Errorf("without %v", again.Without)
	}
	key := again.Key()
	again.Without = nil
	if again.Key() == key {
		t.Error("the key does not tell what is left out")
	}
}
