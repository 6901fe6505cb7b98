package watch

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func start(t *testing.T) *Watcher {
	t.Helper()
	w, err := New(Deps{Quiet: 30 * time.Millisecond, Max: 500 * time.Millisecond, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantHint waits for a hint; it lists path, unless path is "".
func wantHint(t *testing.T, w *Watcher, path string) {
	t.Helper()
	select {
	case h := <-w.Hints():
		if path != "" && !slices.Contains(h.Paths, path) {
			t.Errorf("hint lists %v, want %s in it", h.Paths, path)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("no hint for %s", path)
	}
}

func wantNone(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case h := <-w.Hints():
		t.Fatalf("a hint for nothing: %+v", h)
	case <-time.After(200 * time.Millisecond):
	}
}

func TestWatchFile(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "uv.lock")
	write(t, lock, "1")
	w := start(t)
	w.Set("p", []string{lock}, nil, nil)

	write(t, lock, "2")
	wantHint(t, w, lock)

	write(t, lock+".tmp", "3")
	wantNone(t, w)
	if err := os.Rename(lock+".tmp", lock); err != nil {
		t.Fatal(err)
	}
	wantHint(t, w, lock)

	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	wantHint(t, w, lock)
	write(t, lock, "4")
	wantHint(t, w, lock)

	if err := os.Chmod(lock, 0o600); err != nil {
		t.Fatal(err)
	}
	wantNone(t, w)
	w.Set("p", nil, nil, nil)
	write(t, lock, "5")
	wantNone(t, w)
}

func TestWatchNewSource(t *testing.T) {
	dir := t.TempDir()
	w := start(t)
	w.Set("p", nil, []string{dir}, nil)
	write(t, filepath.Join(dir, "notes.txt"), "x")
	wantNone(t, w)
	write(t, filepath.Join(dir, "wf.py"), "x")
	wantHint(t, w, filepath.Join(dir, "wf.py"))
}

// What is copied into an image is copied whatever its name.
func TestWatchTree(t *testing.T) {
	dir := t.TempDir()
	w := start(t)
	w.Set("p", nil, nil, []string{dir})
	data := filepath.Join(dir, "data.csv")
	write(t, data, "x")
	wantHint(t, w, data)
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantHint(t, w, filepath.Join(dir, "new"))
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	wantHint(t, w, data)
}

func TestWatchDirectoryThatComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "deep", "er", "uv.lock")
	w := start(t)
	w.Set("p", []string{lock}, []string{dir}, nil)
	write(t, lock, "1")
	wantHint(t, w, "")
	write(t, lock, "2")
	wantHint(t, w, lock)

	if err := os.RemoveAll(filepath.Join(dir, "deep")); err != nil {
		t.Fatal(err)
	}
	wantHint(t, w, "")
	write(t, lock, "3")
	wantHint(t, w, "")
	write(t, lock, "4")
	wantHint(t, w, lock)

	if err := os.Rename(filepath.Join(dir, "deep"), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	wantHint(t, w, "")
	write(t, filepath.Join(dir, "away", "er", "uv.lock"), "5")
	wantNone(t, w)
	write(t, lock, "6")
	wantHint(t, w, "")
	write(t, lock, "7")
	wantHint(t, w, lock)
}

func TestWatchGitCheckout(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-C", dir}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	lock := filepath.Join(dir, "app", "uv.lock")
	run("init", "-q", "-b", "one")
	write(t, lock, "1")
	run("add", ".")
	run("commit", "-q", "-m", "1")
	run("checkout", "-q", "-b", "two")
	write(t, lock, "2")
	run("commit", "-q", "-a", "-m", "2")
	w := start(t)
	w.Set("p", []string{lock}, nil, nil)
	run("checkout", "-q", "one")
	wantHint(t, w, lock)
}

func TestPollWhereThereAreNoEvents(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "uv.lock")
	write(t, lock, "1")
	w := start(t)
	w.mu.Lock()
	w.events = nil // as where inotify is at its limit
	w.mu.Unlock()
	w.Set("p", []string{lock}, []string{dir}, nil)
	write(t, lock, "22")
	wantHint(t, w, lock)
	write(t, filepath.Join(dir, "wf.py"), "x")
	wantHint(t, w, dir)
}
