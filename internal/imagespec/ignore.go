package imagespec

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"time"
)

// ignore tells which files under a source root are left out, as flytekit's IgnoreGroup of GitIgnore,
// DockerIgnore and StandardIgnore.
type ignore struct {
	relative bool // the root is relative: rules see the path with the root in front
	root     string
	git      map[string]bool
	gitDirs  map[string]bool
	docker   []pattern
	inputs   []Input
}

func newIgnore(root string, o Options) (*ignore, error) {
	dir := o.path(root)
	ig := &ignore{relative: !strings.HasPrefix(root, "/"), root: dir}
	ig.git = gitIgnored(dir)
	if len(ig.git) > 0 && ig.relative {
		ig.gitDirs = gitIgnored(dir, "--directory")
	}
	err := ig.readDockerIgnore(dir + "/.dockerignore")
	return ig, err
}

// match reports whether a file is left out; walked is its path with root in front, rel without.
func (ig *ignore) match(walked, rel string) (bool, error) {
	p := rel
	if ig.relative {
		p = walked
	}
	if ig.matchGit(p) {
		return true, nil
	}
	return matchDocker(ig.docker, p) || standardIgnored(p), nil
}

func (ig *ignore) matchGit(p string) bool {
	if len(ig.git) == 0 {
		return false
	}
	name := string(NewPath(p))
	return ig.git[name] || ig.gitDirs[name+"/"] && isDir(ig.root+"/"+p)
}

// gitLimit is how long git may take to list what it ignores.
const gitLimit = time.Minute

// gitIgnored lists what git ignores in dir; nothing where there is no git or no repository. The monitor
// hook is switched off, because it would run a program that the repository names.
func gitIgnored(dir string, more ...string) map[string]bool {
	args := append([]string{"-c", "core.fsmonitor=false", "ls-files", "-io", "--exclude-standard"}, more...)
	ctx, cancel := context.WithTimeout(context.Background(), gitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	set := map[string]bool{}
	for line := range bytes.Lines(out) {
		set[string(bytes.TrimSuffix(line, []byte("\n")))] = true
	}
	return set
}

func standardIgnored(p string) bool {
	return strings.HasSuffix(p, ".pyc") || p == ".cache" || strings.HasPrefix(p, ".cache/") ||
		strings.HasPrefix(p, "__pycache__/") || strings.Contains(p, "/__pycache__/")
}
