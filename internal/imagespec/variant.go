package imagespec

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Newest is the newest flytekit release whose rule was compared with the real one.
const Newest = "1.16.31"

// rule is how one span of flytekit releases names an image. The differences were found by reading
// and running the releases in 2025.
type rule struct {
	excluded       map[string]bool // fields that do not enter the hash
	unknown        map[string]bool // fields that this release does not have
	builder        bool            // the builder enters the hash
	defaultBuilder bool            // and is filled in first
	platformOfHost bool            // localhost registries on arm64 machines default to linux/arm64
	noneIsDefault  bool            // platform=None means the default (before: an absent platform)
	walksGit       bool            // source digests enter .git
	unsorted       bool            // source digests take files in the order of the walk
	readsSockets   bool            // copy and source digests try to read sockets, and fail
}

// A release is major, minor, patch.
type release [3]int

func (r release) before(major, minor, patch int) bool {
	o := release{major, minor, patch}
	for i := range r {
		if r[i] != o[i] {
			return r[i] < o[i]
		}
	}
	return false
}

// boundaries are the first releases of a new rule: their pre-releases may have either.
var boundaries = []release{{1, 16, 4}, {1, 16, 0}, {1, 15, 4}, {1, 15, 3}, {1, 15, 1}, {1, 15, 0}, {1, 14, 0}, {1, 13, 9}, {1, 13, 7}, {1, 13, 6}}

var newest = ruleOf(release{1, 16, 31})

// ruleFor returns the rule of a flytekit version, "" being the newest known.
func ruleFor(version string) (rule, error) {
	if version == "" {
		version = Newest
	}
	rel, pre, err := parseRelease(version)
	switch {
	case err != nil:
		return rule{}, err
	case rel.before(1, 13, 6):
		return rule{}, &Unsupported{Field: "flytekit " + version, Reason: "only 1.13.6 and newer name images by a known rule"}
	case rel[0] > 1:
		return rule{}, &Unsupported{Field: "flytekit " + version, Reason: "its rule is not known"}
	}
	for _, b := range boundaries {
		if pre && rel == b {
			return rule{}, &Unsupported{Field: "flytekit " + version, Reason: "a pre-release of a version that changed the rule"}
		}
	}
	return ruleOf(rel), nil
}

// Alike reports whether two flytekit versions name the specs that both know by the same rule.
func Alike(a, b string) bool {
	x, errX := ruleFor(a)
	y, errY := ruleFor(b)
	x.unknown, y.unknown = nil, nil
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// ExecEnvironment reports whether the default builder of a flytekit version makes an environment for python_exec; older ones
// install into that interpreter itself.
func ExecEnvironment(version string) bool {
	if version == "" {
		version = Newest
	}
	rel, _, err := parseRelease(version)
	return err == nil && !rel.before(1, 16, 16)
}

// Hashed reports whether a field of the spec enters the tag that a flytekit version gives it.
func Hashed(field, version string) bool {
	r, err := ruleFor(version)
	return err == nil && !r.excluded[field] && field != "registry_config"
}

func ruleOf(rel release) rule {
	r := rule{excluded: map[string]bool{}, unknown: map[string]bool{}}
	exclude := func(names ...string) {
		for _, n := range names {
			r.excluded[n] = true
		}
	}
	lack := func(major, minor, patch int, names ...string) {
		if rel.before(major, minor, patch) {
			for _, n := range names {
				r.unknown[n] = true
			}
		}
	}
	lack(1, 15, 0, "pip_secret_mounts", "pip_extra_args", "python_exec")
	lack(1, 15, 4, "runtime_packages", "builder_options")
	lack(1, 16, 0, "builder_config")
	exclude("pip_secret_mounts", "runtime_packages")
	r.builder = rel.before(1, 15, 3)
	if !r.builder {
		exclude("builder")
	}
	r.defaultBuilder = r.builder && !rel.before(1, 15, 1)
	r.platformOfHost = !rel.before(1, 16, 4)
	r.noneIsDefault = !rel.before(1, 16, 4)
	r.walksGit = rel.before(1, 13, 7)
	r.unsorted = rel.before(1, 13, 9)
	r.readsSockets = rel.before(1, 14, 0)
	return r
}

// parseRelease reads the release segment of a version; pre tells a pre-release or a development version.
func parseRelease(version string) (rel release, pre bool, err error) {
	rest, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "+")
	for i := range rel {
		n := 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n == 0 {
			if i == 0 {
				return rel, false, fmt.Errorf("flytekit version %q is no version", version)
			}
			break
		}
		if rel[i], err = strconv.Atoi(rest[:n]); err != nil {
			return rel, false, fmt.Errorf("flytekit version %q: %w", version, err)
		}
		rest = rest[n:]
		if !strings.HasPrefix(rest, ".") || i == len(rel)-1 {
			break
		}
		if len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9' {
			rest = rest[1:]
		}
	}
	return rel, rest != "" && !strings.HasPrefix(rest, ".post"), nil
}
