package engine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/project"
	"github.com/imgspecd/imgspecd/internal/store"
)

func (r *records) PutLearned(l store.Learned) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.learned == nil {
		r.learned = map[string]store.Learned{}
	}
	r.learned[l.Project+"/"+l.Key] = l
	return nil
}

func (r *records) DeleteLearned(project, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, l := range r.learned {
		if l.Project == project && (key == "" || l.Key == key) {
			delete(r.learned, k)
		}
	}
	return nil
}

func (r *records) of(project string) ([]store.Learned, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []store.Learned
	for _, l := range r.learned {
		if l.Project == project {
			out = append(out, l)
		}
	}
	return out, nil
}

func (w *world) Learn(ctx context.Context, p store.Project, beside string, req api.PutSpec, at time.Time) (store.Learned, error) {
	return w.real.Learn(ctx, p, beside, req, at)
}

// discovered are the specs that the files of a project hold.
type discovered func(dir string) []project.Found

func (d discovered) Read(_ context.Context, dir string, _ project.Options) (project.Result, error) {
	return project.Result{Specs: d(dir), Flytekit: imagespec.Newest, FlytekitSource: "lock", Python: "3.12"}, nil
}

// learning is a world whose projects are read for real, but for their Python files.
func learning(t *testing.T, found discovered, policy Policy) *world {
	t.Helper()
	w := newWorld(t, func(w *world) {
		w.real = &ProjectReader{
			Projects: found, Locks: &Locks{}, Learned: w.records.of,
			Settings: func(string) (Settings, error) { return Settings{Policy: policy}, nil },
		}
		delete(w.records.projects, "p")
	})
	return w
}

func none(string) []project.Found { return nil }

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// asRun is what the plug-in sends after flytekit has named a spec.
func asRun(t *testing.T, dir, kwargs string) api.PutSpec {
	t.Helper()
	s, err := imagespec.ParseKwargs([]byte(kwargs))
	if err != nil {
		t.Fatal(err)
	}
	n, err := imagespec.Name(s, imagespec.Options{Dir: dir, Modules: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return api.PutSpec{Spec: json.RawMessage(kwargs), Dir: dir, Flytekit: imagespec.Newest, Name: n.Name, Tag: n.Tag, ID: n.ID}
}

func (w *world) put(req api.PutSpec) api.Image {
	w.t.Helper()
	im, err := w.e.PutSpec(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return w.named(im.Label)
}

func (w *world) named(label string) api.Image {
	w.t.Helper()
	im, err := w.e.FindImage(w.t.Context(), label)
	if err != nil {
		w.t.Fatal(err)
	}
	return im
}

func (w *world) hint(dir string) {
	w.t.Helper()
	w.e.post(func(l *loop) { l.hint(projectID(dir), nil, l.now()) })
	synctest.Wait()
}

func TestLearnedSpecIsBuiltAndKeptAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := learning(t, none, Policy{})
		defer w.end()
		dir := tempDir(t)
		write(t, dir, "requirements.txt", "a==1\n")
		req := asRun(t, dir, `{"name": "App", "requirements": "requirements.txt"}`)
		im := w.put(req)
		if im.Name != req.Name || im.State != api.Ready || im.Source.Kind != "learned" || im.Label != filepath.Base(dir)+"/App" || im.Mismatch != nil {
			t.Fatalf("learned: %+v", im)
		}
		if p := w.e.Projects(t.Context()); len(p) != 1 || p[0].Dir != dir {
			t.Errorf("its directory is not a project: %+v", p)
		}
		// The file changes: another name, made before any run asks for it.
		write(t, dir, "requirements.txt", "a==2\n")
		w.hint(dir)
		next := w.named(im.Label)
		if want := asRun(t, dir, string(req.Spec)).Name; next.Name != want || next.State != api.Ready || next.Previous != req.Name {
			t.Errorf("after a change: %+v, want %s", next, want)
		}
		// The same spec again is the same image.
		w.put(asRun(t, dir, string(req.Spec)))
		if n := len(w.e.Images(t.Context())); n != 1 {
			t.Errorf("%d images of one spec", n)
		}
		if err := w.e.ForgetSpec(t.Context(), "App"); err != nil {
			t.Fatal(err)
		}
		if n := len(w.e.Images(t.Context())); n != 0 {
			t.Errorf("%d images of a forgotten spec", n)
		}
	})
}

func TestLearnedSpecBelongsToTheProjectAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := learning(t, none, Policy{})
		defer w.end()
		dir := tempDir(t)
		sub := filepath.Join(dir, "sub")
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := w.e.AddProject(t.Context(), api.AddProject{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		write(t, sub, "r.txt", "a==1\n")
		im := w.put(asRun(t, sub, `{"requirements": "r.txt"}`))
		if p := w.e.Projects(t.Context()); len(p) != 1 || im.Project != p[0].ID || im.State != api.Ready || im.Label != filepath.Base(dir)+"/flytekit" {
			t.Errorf("%+v in %+v", im, p)
		}
		// Of another directory, with the same fields, it is another image.
		time.Sleep(time.Second)
		write(t, dir, "r.txt", "a==2\n")
		other := w.put(asRun(t, dir, `{"requirements": "r.txt"}`))
		if other.Name == im.Name || other.Label == im.Label {
			t.Errorf("%s and %s", im.Label, other.Label)
		}
		if err := w.e.RemoveProject(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if left, _ := w.records.of(im.Project); len(left) != 0 {
			t.Errorf("unwatch leaves %+v", left)
		}
	})
}

func TestFoundAndLearnedIsOneImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := func(dir string) []project.Found {
			s, _ := imagespec.ParseKwargs([]byte(`{"name": "App", "requirements": "r.txt"}`))
			return []project.Found{{Spec: s, Source: project.Source{Kind: "found", File: "wf.py", Line: 3}, Label: "img", Cwd: dir, RunRoot: dir}}
		}
		w := learning(t, found, Policy{})
		defer w.end()
		dir := tempDir(t)
		write(t, dir, "r.txt", "a==1\n")
		// flytekit holds the spec with its defaults filled in.
		req := asRun(t, dir, `{"name": "app", "platform": "linux/amd64", "requirements": "r.txt", "builder": "default"}`)
		im := w.put(req)
		if all := w.e.Images(t.Context()); len(all) != 1 || im.Source.Kind != "found" || im.Label != filepath.Base(dir)+"/img" || im.Name != req.Name || im.State != api.Ready {
			t.Fatalf("%+v", all)
		}
		// A run that names it otherwise takes its name away: it is not ready under ours.
		wrong := req
		wrong.Name, wrong.Tag = "app:elsewhere", "elsewhere"
		im = w.put(wrong)
		m := im.Mismatch
		if im.State != api.Failed || im.Name != "app:elsewhere" || m == nil || m.Ours != req.Name || m.Name != wrong.Name || m.Hashed == "" || len(m.Inputs) != 1 {
			t.Fatalf("%+v", im)
		}
		if !strings.Contains(im.Detail, req.Name) || !strings.Contains(m.Reason, "a file in the tag") {
			t.Errorf("detail %q, reason %q", im.Detail, m.Reason)
		}
		w.hint(dir)
		if _, err := w.e.FindImage(t.Context(), req.Name); err == nil {
			t.Error("there is an image under the guessed name")
		}
		// A run that agrees again makes it good.
		if im = w.put(req); im.State != api.Ready || im.Name != req.Name || im.Mismatch != nil {
			t.Errorf("agreed again: %+v", im)
		}
	})
}

func TestMismatchOfTheIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := learning(t, none, Policy{})
		defer w.end()
		dir := tempDir(t)
		req := asRun(t, dir, `{"packages": ["a"]}`)
		req.ID, req.Tag, req.Name = "otherid", "othertag", "flytekit:othertag"
		im := w.put(req)
		if im.State != api.Failed || im.Mismatch == nil || !strings.Contains(im.Mismatch.Reason, "the ids differ") {
			t.Errorf("%+v", im)
		}
		if len(w.ran) != 0 {
			t.Errorf("built %v", w.ran)
		}
		req.Flytekit = "1.12.0"
		if _, err := w.e.PutSpec(t.Context(), req); err == nil || !strings.Contains(err.Error(), "1.12.0") {
			t.Errorf("a flytekit without a rule: %v", err)
		}
	})
}

// A name that depends on loaded modules is flytekit's until a file changes that may be one.
func TestUnpredictableNameIsTheRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := learning(t, none, Policy{})
		defer w.end()
		dir := tempDir(t)
		write(t, dir, "wf.py", "x = 1\n")
		req := asRun(t, dir, `{"name": "app", "source_root": "`+dir+`", "source_copy_mode": {"__copymode__": "LOADED_MODULES"}}`)
		req.Tag = "byrun1"
		req.Name = "app:byrun1"
		im := w.put(req)
		if im.Name != "app:byrun1" || im.State != api.Ready || im.NamedBy != "run" || im.Mismatch != nil {
			t.Fatalf("%+v", im)
		}
		w.hint(dir)
		if im = w.named(im.Label); im.State != api.Ready {
			t.Fatalf("nothing changed: %+v", im)
		}
		write(t, dir, "README.md", "no module\n")
		w.hint(dir)
		if im = w.named(im.Label); im.State != api.Ready {
			t.Fatalf("a text changed: %+v", im)
		}
		write(t, dir, "wf.py", "x = 2\n")
		w.hint(dir)
		if im = w.named(im.Label); im.State != api.Waiting || im.Name != "" || im.Previous != "app:byrun1" || !strings.Contains(im.Detail, "app:byrun1") || im.Error.Hint == "" {
			t.Fatalf("a module changed: %+v", im)
		}
		req.Tag, req.Name = "byrun2", "app:byrun2"
		if im = w.put(req); im.State != api.Ready || im.Name != "app:byrun2" {
			t.Errorf("the next run: %+v", im)
		}
		// With the modules at hand, the name is followed.
		req.Modules = []string{filepath.Join(dir, "wf.py")}
		s, _ := imagespec.ParseKwargs(req.Spec)
		n, err := imagespec.Name(s, imagespec.Options{Dir: dir, Modules: req.Modules})
		if err != nil {
			t.Fatal(err)
		}
		req.Name, req.Tag = n.Name, n.Tag
		if im = w.put(req); im.State != api.Ready || im.Name != n.Name || im.NamedBy != "" {
			t.Fatalf("with modules: %+v", im)
		}
		write(t, dir, "wf.py", "x = 3\n")
		w.hint(dir)
		if im = w.named(im.Label); im.State != api.Ready || im.Name == n.Name || im.Previous != n.Name {
			t.Errorf("a known module changed: %+v", im)
		}
	})
}

func TestUnionIsListedUnlessMapped(t *testing.T) {
	for policy, want := range map[string]api.State{"list": api.Listed, "default": api.Ready} {
		synctest.Test(t, func(t *testing.T) {
			found := func(dir string) []project.Found {
				s, _ := imagespec.ParseKwargs([]byte(`{"name": "app", "builder": "union", "requirements": "r.txt"}`))
				return []project.Found{{Spec: s, Source: project.Source{Kind: "found", File: "wf.py", Line: 3}, Label: "img", Cwd: dir, RunRoot: dir}}
			}
			w := learning(t, found, Policy{Union: policy})
			defer w.end()
			dir := tempDir(t)
			write(t, dir, "r.txt", "a==1\n")
			if _, err := w.e.AddProject(t.Context(), api.AddProject{Dir: dir}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			im := w.named("img")
			if im.State != want || im.Name == "" || (want == api.Listed) != (len(w.ran) == 0) {
				t.Errorf("builders.union = %s: %+v, built %v", policy, im, w.ran)
			}
			list, err := w.e.StartBuild(t.Context(), api.StartBuild{Dir: dir, Force: true})
			if err != nil || (want == api.Listed) != (len(list.Builds) == 0) {
				t.Errorf("asked for: %+v, %v", list, err)
			}
			synctest.Wait()
		})
	}
}
