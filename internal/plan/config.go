package plan

import (
	"maps"
	"path"
	"strings"
)

// The labels that every image gets (opencontainers/image-spec, annotations.md).
const (
	labelTitle      = "org.opencontainers.image.title"
	labelVersion    = "org.opencontainers.image.version"
	labelBaseName   = "org.opencontainers.image.base.name"
	labelBaseDigest = "org.opencontainers.image.base.digest"
)

// config is what the default builder's Dockerfile sets. Nothing in it may differ
// between two builds of one plan: no time, no build, no version of imgspecd.
func config(in Input, env variables) Config {
	c := Config{
		Env:        env,
		User:       userName,
		WorkingDir: "/root",
		Shell:      []string{"/bin/bash", "-c"},
		Labels: map[string]string{
			labelTitle:      repository(in.Name),
			labelVersion:    in.Tag,
			labelBaseDigest: in.Base.Digest,
		},
	}
	if in.Base.From != "layout" { // whose reference is a path on one machine
		c.Labels[labelBaseName] = in.Base.Ref
	}
	maps.Copy(c.Labels, in.Labels)
	c.Entrypoint, c.SetEntrypoint = in.Spec.Entrypoint()
	return c
}

// repository is the last part of an image's name, without registry and tag.
func repository(name string) string {
	name, _, _ = strings.Cut(path.Base(name), ":")
	return name
}
