package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWorkingDirStaysInTheProject(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "proj")
	for _, d := range []string{"proj/flows/deep", "outside"} {
		if err := os.MkdirAll(filepath.Join(top, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"in": "flows", "out": "../outside", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for cwd, want := range map[string]string{
		".": dir, "flows": dir + "/flows", "flows/deep/..": dir + "/flows", "in": dir + "/flows",
		"out": "leads out of the project", "loop": "too many links", "none": "no such file", "file": "is not a directory",
	} {
		got, err := workingDir(dir, cwd)
		if err != nil {
			got = err.Error()
		}
		if got != want && !strings.Contains(got, want) {
			t.Errorf("cwd %s: %s, want %s", cwd, got, want)
		}
	}
}
