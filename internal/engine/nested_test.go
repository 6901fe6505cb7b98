package engine

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/project"
)

const nestedKwargs = `{"name": "child", "requirements": "r.txt", "base_image": {"__imagespec__": {"name": "parent", "registry": "localhost:5000", "requirements": "base.txt"}}}`

// nesting is a project with a spec whose base is a spec.
func nesting(t *testing.T, before func(*world)) (*world, string) {
	t.Helper()
	dir := tempDir(t)
	write(t, dir, "r.txt", "a==1\n")
	write(t, dir, "base.txt", "b==1\n")
	found := func(dir string) []project.Found {
		s, err := imagespec.ParseKwargs([]byte(nestedKwargs))
		if err != nil {
			t.Error(err)
		}
		return []project.Found{
			{Spec: s, Source: project.Source{Kind: "found", File: "wf.py", Line: 3}, Label: "img", Cwd: dir, RunRoot: dir},
			{Spec: s, Source: project.Source{Kind: "found", File: "wf.py", Line: 9}, Label: "again", Cwd: dir, RunRoot: dir},
		}
	}
	w := learning(t, found, Policy{})
	before(w)
	if _, err := w.e.AddProject(t.Context(), api.AddProject{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return w, dir
}

func TestNestedBaseIsBuiltFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dir := nesting(t, func(w *world) { w.gate = make(chan struct{}) })
		defer w.end()
		child, parent := w.named("img"), w.named("img@base")
		if all := w.e.Images(t.Context()); len(all) != 3 {
			t.Fatalf("%d images of two specs and their one base", len(all))
		}
		if child.Base != parent.Name || parent.BaseOf != filepath.Base(dir)+"/img" || parent.Registry != "localhost:5000" || child.Registry != "" {
			t.Fatalf("%+v\n%+v", child, parent)
		}
		if parent.State != api.Building || child.State != api.Queued || child.Detail != "waiting for its base "+parent.Label {
			t.Errorf("parent %s, child %s: %s", parent.State, child.State, child.Detail)
		}
		w.gate <- struct{}{}
		w.gate <- struct{}{}
		synctest.Wait()
		if len(w.ran) != 2 || w.ran[0] != parent.Name || w.ran[1] != child.Name {
			t.Errorf("built %v", w.ran)
		}
		if child = w.named("img"); child.State != api.Ready {
			t.Errorf("child %s: %s", child.State, child.Detail)
		}
		// A change of the base's file renames both.
		write(t, dir, "base.txt", "b==2\n")
		w.hint(dir)
		w.gate <- struct{}{}
		w.gate <- struct{}{}
		synctest.Wait()
		if now := w.named("img"); now.State != api.Ready || now.Previous != child.Name || now.Base == child.Base {
			t.Errorf("%+v", now)
		}
	})
}

func TestFailedBaseFailsTheChildAndItsComingBackBuildsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parent string
		w, _ := nesting(t, func(w *world) {
			s, _ := imagespec.ParseKwargs([]byte(nestedKwargs))
			base, _ := s.BaseSpec()
			dir := w.t.TempDir()
			write(w.t, dir, "base.txt", "b==1\n")
			n, err := imagespec.Name(base, imagespec.Options{Dir: dir})
			if err != nil {
				w.t.Fatal(err)
			}
			parent = n.Name
			w.fail[parent] = &api.Error{Code: api.CodeUnavailable, Message: "registry: connection refused"}
		})
		defer w.end()
		im := w.named("img")
		if im.State != api.Failed || !strings.Contains(im.Detail, "its base image ") || !strings.Contains(im.Detail, "img@base: registry: connection refused") {
			t.Fatalf("%s: %s", im.State, im.Detail)
		}
		w.mu.Lock()
		delete(w.fail, parent)
		w.mu.Unlock()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if im = w.named("img"); im.State != api.Ready {
			t.Errorf("once its base is there: %s: %s", im.State, im.Detail)
		}
	})
}

func TestBaseLeftToAnotherBuilder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := func(dir string) []project.Found {
			s, _ := imagespec.ParseKwargs([]byte(`{"name": "child", "base_image": {"__imagespec__": {"name": "parent", "builder": "union"}}}`))
			return []project.Found{{Spec: s, Source: project.Source{Kind: "found", File: "wf.py", Line: 3}, Label: "img", Cwd: dir, RunRoot: dir}}
		}
		w := learning(t, found, Policy{Union: "list"})
		defer w.end()
		if _, err := w.e.AddProject(t.Context(), api.AddProject{Dir: tempDir(t)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		im := w.named("img")
		if im.State != api.Failed || im.Error.Code != api.CodeUnsupported || !strings.Contains(im.Error.Hint, "builders.union") {
			t.Errorf("%+v", im)
		}
	})
}
