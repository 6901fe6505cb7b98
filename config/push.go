package config

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// pushes are the values of registry.push, from the widest.
var pushes = []string{PushAlways, PushOnRequest, PushNever}

// PushPolicy is registry.push with registry.policy.
type PushPolicy struct {
	Push   string            // of images that no pattern matches
	Narrow string            // what a project's own file narrows it to; empty: it does not
	Policy map[string]string // by pattern
}

// PushPolicy returns when images of a project are pushed; c are its settings, user those without its own file.
func (c *Config) PushPolicy(user *Config) PushPolicy {
	p := PushPolicy{Push: c.Registry.Push, Policy: user.Registry.Policy}
	if slices.Index(pushes, c.Registry.Push) > slices.Index(pushes, user.Registry.Push) {
		p.Narrow = c.Registry.Push
	}
	return p
}

// For says when the image of a name in full (docker.io/acme/app:1) is pushed: always, on-request or never.
func (p PushPolicy) For(image string) string {
	best, push := "", p.Push
	for _, pattern := range slices.Sorted(maps.Keys(p.Policy)) { // of two as long, always the same one wins
		if len(pattern) > len(best) && matches(pattern, image) {
			best, push = pattern, p.Policy[pattern]
		}
	}
	if p.Narrow != "" && slices.Index(pushes, p.Narrow) > slices.Index(pushes, push) {
		return p.Narrow
	}
	return push
}

// matches reports whether the first parts of a name, between slashes, are those of a pattern.
func matches(pattern, image string) bool {
	want, have := strings.Split(pattern, "/"), strings.Split(withoutTag(image), "/")
	if len(want) > len(have) {
		return false
	}
	for i, w := range want {
		if ok, err := path.Match(w, have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// withoutTag is a name without its tag and digest; the colon of a port stands before a slash.
func withoutTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i]
	}
	return image
}

func checkPolicy(v any) error {
	for pattern, value := range v.(map[string]string) {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" || strings.ContainsAny(pattern, "@ ") || strings.Contains(pattern, "//") {
			return fmt.Errorf("%q is not the beginning of an image's name, such as ghcr.io/acme or *.dkr.ecr.*", pattern)
		}
		if !slices.Contains(pushes, value) {
			return fmt.Errorf("%s: %q must be one of %s", pattern, value, strings.Join(pushes, ", "))
		}
	}
	return nil
}
