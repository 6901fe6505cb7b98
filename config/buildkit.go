package config

import (
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// buildKitSchemes are the ways to a BuildKit.
var buildKitSchemes = []string{"unix", "tcp", "docker-container", "kube-pod", "podman-container", "ssh"}

// BuildKitAddress is the buildkitd that is named: by buildkit.address, or BUILDKIT_HOST as for buildctl. Empty: none.
func (c *Config) BuildKitAddress() string {
	if c.BuildKit.Address != "" {
		return c.BuildKit.Address
	}
	return c.env.get("BUILDKIT_HOST")
}

// BuildKitDefaults are the addresses at which a buildkitd listens that nobody told otherwise: a user's own first.
func (c *Config) BuildKitDefaults() []string {
	var out []string
	if dir := c.env.get("XDG_RUNTIME_DIR"); dir != "" {
		out = append(out, "unix://"+filepath.Join(dir, "buildkit", "buildkitd.sock"))
	}
	return append(out, "unix:///run/buildkit/buildkitd.sock")
}

// SSHAgent is the socket of the agent that git over SSH asks; empty: none.
func (c *Config) SSHAgent() string { return c.env.get("SSH_AUTH_SOCK") }

func checkBuildKit(v any) error {
	s := v.(string)
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(buildKitSchemes, u.Scheme) || u.Host+u.Path == "" {
		return errors.New("it must be an address that begins with " + strings.Join(buildKitSchemes, "://, ") + "://")
	}
	return nil
}

// Proxies are what steps are told of proxies: the environment's own variables, upper case before lower.
func (c *Config) Proxies() (http, https, ftp, no, all string) {
	get := func(name string) string {
		if v := c.env.get(name); v != "" {
			return v
		}
		return c.env.get(strings.ToLower(name))
	}
	return get("HTTP_PROXY"), get("HTTPS_PROXY"), get("FTP_PROXY"), get("NO_PROXY"), get("ALL_PROXY")
}
