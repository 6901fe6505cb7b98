package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/watch"
)

// contents is what a world's images are made of besides what their names say.
type contents struct {
	mu        sync.Mutex
	pyproject string                     // digest of a pyproject.toml beside the lock; empty: there is none
	rebuild   string                     // the project's setting
	flytekit  string                     // that names the images
	spec      string                     // keyword arguments, as JSON
	planned   func(Spec) (string, error) // key of a plan; nil: the tag decides all
	packages  []store.Package
}

func (c *contents) decides(s *Spec, p store.Project) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pyproject != "" {
		s.Named.Inputs = append(s.Named.Inputs, imagespec.Input{Path: p.Dir + "/pyproject.toml", Digest: c.pyproject})
	}
	if c.spec != "" {
		s.Fields, _ = imagespec.ParseKwargs([]byte(c.spec))
	}
	s.Policy.Rebuild, s.Flytekit, s.Dir = c.rebuild, c.flytekit, p.Dir
}

func (c *contents) Plan(_ context.Context, s Spec) (Made, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := s.Named.Tag
	if c.planned != nil {
		k, err := c.planned(s)
		if err != nil {
			return Made{}, err
		}
		key += k
	}
	return Made{Plan: key, Unbased: key, Format: 1, Packages: c.packages}, nil
}

// explained is the explanation of a spec, with the packages of its plan.
func (c *contents) explained(s Spec) api.Explanation {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := api.Explanation{Name: s.Named.Name, Tag: s.Named.Tag, Base: &api.BaseInfo{}}
	for _, p := range c.packages {
		x.Packages = append(x.Packages, api.Package{Name: p.Name, Version: p.Version})
	}
	return x
}

// memories are the records of images and names.
type memories struct {
	once  sync.Mutex
	ready map[string]store.ReadyImage
	names map[string][]store.Naming
}

func (m *memories) ReadyImage(name string) (store.ReadyImage, bool) {
	m.once.Lock()
	defer m.once.Unlock()
	r, ok := m.ready[name]
	return r, ok
}

func (m *memories) PutReadyImage(r store.ReadyImage) error {
	m.once.Lock()
	defer m.once.Unlock()
	if m.ready == nil {
		m.ready = map[string]store.ReadyImage{}
	}
	m.ready[r.Name] = r
	return nil
}

func (m *memories) History(label string) []store.Naming {
	m.once.Lock()
	defer m.once.Unlock()
	return m.names[label]
}

func (m *memories) PutHistory(label string, h []store.Naming) error {
	m.once.Lock()
	defer m.once.Unlock()
	if m.names == nil {
		m.names = map[string][]store.Naming{}
	}
	b, err := json.Marshal(h) // as a store does, which changes the spaces in a spec's JSON
	if err != nil {
		return err
	}
	var kept []store.Naming
	if err := json.Unmarshal(b, &kept); err != nil {
		return err
	}
	m.names[label] = kept
	return nil
}

// edit changes what the next reading finds besides the name.
func (w *world) edit(f func(*contents)) {
	w.contents.mu.Lock()
	f(&w.contents)
	w.contents.mu.Unlock()
	w.hints <- watch.Hint{Project: "p", Paths: []string{"/src/proj/pyproject.toml"}, At: time.Now()}
	synctest.Wait()
}

// byProject is a plan that pyproject.toml decides, as far as its digest's first letter goes.
func byProject(s Spec) (string, error) {
	for _, in := range s.Named.Inputs {
		if !in.Named {
			return in.Digest[:1], nil
		}
	}
	return "", nil
}

func TestAnEditThatTheNameDoesNotSeeIsShownIfItChangesThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.pyproject, w.planned = "a1", byProject })
		w.save("t1")
		differs := func(want string, builds int) {
			t.Helper()
			if im := w.image(); strings.Join(im.Differs, "; ") != want || im.State != api.Ready {
				t.Errorf("%s, differs %q, want %q", im.State, im.Differs, want)
			}
			if got := len(w.builds()); got != builds {
				t.Errorf("%d builds, want %d", got, builds)
			}
		}
		differs("", 1)
		w.edit(func(c *contents) { c.pyproject = "a2" }) // a comment
		differs("", 1)
		w.edit(func(c *contents) { c.pyproject = "b1" })
		differs("pyproject.toml changed", 1)
		w.edit(func(c *contents) { c.pyproject = "a2" })
		differs("", 1)
		w.edit(func(c *contents) { c.pyproject = "b1" })
		w.end()

		records := w.records.projects
		again := newWorld(t, func(o *world) {
			o.records.projects, o.records.ready = records, w.records.ready
			o.there, o.tags, o.pyproject, o.planned = w.there, w.tags, "b1", byProject
		})
		defer again.end()
		w = again
		differs("pyproject.toml changed", 0)
		list, err := w.e.StartBuild(t.Context(), api.StartBuild{Dir: "/src/proj"})
		if err != nil || len(list.Builds) != 1 || list.Builds[0].Cause != "pyproject.toml changed" {
			t.Fatalf("%+v, %v", list, err)
		}
		synctest.Wait()
		differs("", 1)
		w.edit(func(c *contents) { c.pyproject = "b2" })
		differs("", 1)
	})
}

func TestRebuildAutoBuildsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.pyproject, w.planned, w.rebuild = "a", byProject, "auto" })
		defer w.end()
		w.save("t1")
		w.edit(func(c *contents) { c.pyproject = "b" })
		if im, builds := w.image(), w.builds(); len(builds) != 2 || builds[0].Cause != "pyproject.toml changed" || im.State != api.Ready || im.Differs != nil {
			t.Errorf("%+v, %+v", im, builds)
		}
	})
}

func TestAPlanThatFailsIsNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.pyproject, w.rebuild = "a", "auto" })
		defer w.end()
		w.save("t1")
		w.edit(func(c *contents) {
			c.pyproject = "b"
			c.planned = func(Spec) (string, error) { return "", errors.New("no network") }
		})
		im := w.image()
		if len(im.Differs) != 2 || !strings.Contains(im.Differs[1], "is not known: no network") || len(w.builds()) != 1 {
			t.Errorf("differs %q, %d builds", im.Differs, len(w.builds()))
		}
	})
}

func TestExplainTellsWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.pyproject, w.planned, w.flytekit = "a", byProject, "1.16.5"
			w.spec = `{"name": "app", "packages": ["x"], "env": {"A": "1"}}`
			w.packages = []store.Package{{Name: "gone", Version: "1"}, {Name: "x", Version: "1"}, {Name: "same", Version: "3"}}
		})
		w.save("t1")
		w.fail["app:t2"] = errors.New("it fails")
		w.save("t2") // never ready: not what the next one is compared with
		w.edit(func(c *contents) {
			c.pyproject, c.flytekit = "b", "1.16.31"
			c.spec = `{"name": "app", "env": {"A": "1"}, "cuda": "12", "runtime_packages": ["y"]}`
			c.packages = []store.Package{{Name: "x", Version: "2"}, {Name: "same", Version: "3"}, {Name: "new", Version: "1"}}
		})
		w.save("t3")
		check := func() {
			t.Helper()
			x, err := w.e.Explain(t.Context(), api.Explain{Image: "proj/img"})
			if err != nil || x.Change == nil {
				t.Fatalf("%+v, %v", x, err)
			}
			c := x.Change
			if c.From != "app:t1" || x.Previous != "app:t1" {
				t.Errorf("compared with %s, previous %s", c.From, x.Previous)
			}
			if got := strings.Join(c.Because, "; "); got != "packages was removed; cuda was added; uv.lock changed" {
				t.Errorf("because %s", got)
			}
			if got := strings.Join(c.Unseen, "; "); got != "runtime_packages appeared; pyproject.toml changed; flytekit 1.16.5 became 1.16.31, which names images alike" {
				t.Errorf("unseen %s", got)
			}
			want := []api.PackageChange{{Name: "gone", Before: "1"}, {Name: "new", Now: "1"}, {Name: "x", Before: "1", Now: "2"}}
			if !slices.Equal(c.Packages, want) {
				t.Errorf("packages %+v", c.Packages)
			}
		}
		check()
		w.end()
		was := w
		w = newWorld(t, func(o *world) {
			o.records.projects, o.records.ready, o.records.names = was.records.projects, was.records.ready, was.records.names
			o.there, o.tags = was.there, was.tags
			o.pyproject, o.planned, o.flytekit, o.spec, o.packages = was.pyproject, was.planned, was.flytekit, was.spec, was.packages
		})
		defer w.end()
		check()
	})
}

func TestVariablesComeFromTheLastThatSetsThem(t *testing.T) {
	shell := "ghcr.io/shell"
	p := store.Project{Shell: map[string]*string{"REG": &shell, "MODE": &shell, "BOTH": &shell, "OFF": nil}, Env: map[string]string{"BOTH": "option"}}
	set := Settings{Env: map[string]string{"MODE": "setting", "BOTH": "setting"}}
	env := environment(p, set)
	if env["REG"] != shell || env["MODE"] != "setting" || env["BOTH"] != "option" || len(env) != 3 {
		t.Errorf("environment %v", env)
	}
	got := variables([]string{"BOTH", "MODE", "NEW", "OFF", "REG"}, p, set)
	want := []api.Variable{
		{Name: "BOTH", From: api.FromOption}, {Name: "MODE", From: api.FromSetting}, {Name: "NEW", From: api.FromUnrecorded},
		{Name: "OFF", From: api.FromUnset}, {Name: "REG", From: api.FromShell},
	}
	if !slices.Equal(got, want) {
		t.Errorf("variables %v", got)
	}
}
