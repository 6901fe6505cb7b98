package config

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

func TestPushPolicy(t *testing.T) {
	policy := map[string]string{
		"ghcr.io": "on-request", "ghcr.io/acme": "always", "ghcr.io/acme/secret-*": "never", "*.dkr.ecr.*": "never", "localhost:30000": "always", "docker.io/library": "never",
	}
	for _, tt := range []struct{ push, narrow, image, want string }{
		{"never", "", "ghcr.io/acme/app:1", "always"},
		{"always", "", "ghcr.io/other/app:1", "on-request"},
		{"always", "", "ghcr.io/acme/secret-app:1", "never"},
		{"always", "", "ghcr.io/acme/secret:1", "always"},
		{"always", "", "ghcr.io.evil.example/acme/app:1", "always"},
		{"on-request", "", "ghcr.io.evil.example/acme/app:1", "on-request"},
		{"always", "", "123456.dkr.ecr.eu-west-1.amazonaws.com/app:1", "never"},
		{"never", "", "localhost:30000/app:1", "always"},
		{"never", "", "localhost:30001/app:1", "never"},
		{"always", "", "docker.io/library/app", "never"},
		// A project's file only narrows.
		{"on-request", "on-request", "ghcr.io/acme/app:1", "on-request"},
		{"on-request", "on-request", "ghcr.io/acme/secret-app:1", "never"},
		{"never", "never", "ghcr.io/acme/app@sha256:0", "never"},
	} {
		p := PushPolicy{Push: tt.push, Narrow: tt.narrow, Policy: policy}
		if got := p.For(tt.image); got != tt.want {
			t.Errorf("%s with push %s, narrowed to %q: %s, want %s", tt.image, tt.push, tt.narrow, got, tt.want)
		}
	}
	user, project := &Config{Registry: Registry{Push: PushAlways, Policy: policy}}, &Config{Registry: Registry{Push: PushOnRequest, Policy: policy}}
	if got := project.PushPolicy(user).For("ghcr.io/acme/app:1"); got != PushOnRequest {
		t.Errorf("a project that narrows: %s", got)
	}
	if got := user.PushPolicy(user).For("ghcr.io/acme/app:1"); got != PushAlways {
		t.Errorf("a project that says nothing: %s", got)
	}
}

func TestPolicyRefused(t *testing.T) {
	for pattern, value := range map[string]string{"": "never", "ghcr.io/[": "never", "a//b": "never", "ghcr.io": "sometimes"} {
		err := checkPolicy(map[string]string{pattern: value})
		if err == nil || !strings.Contains(err.Error(), pattern) {
			t.Errorf("%q = %q: %v", pattern, value, err)
		}
	}
}

// Patterns hold dots and slashes, and a file may write them either way.
func TestPolicyInAFile(t *testing.T) {
	want := map[string]string{"ghcr.io/Acme": "on-request", "*.dkr.ecr.*": "never"}
	for name, text := range map[string]string{
		"table":  "[registry.policy]\n\"ghcr.io/Acme\" = \"on-request\"\n\"*.dkr.ecr.*\" = \"never\"\n",
		"inline": "[registry]\npolicy = { \"ghcr.io/Acme\" = \"on-request\", \"*.dkr.ecr.*\" = \"never\" }\n",
	} {
		_, env := home(t)
		file := put(t, filepath.Join(t.TempDir(), "config.toml"), text)
		c, _, err := Load(Sources{Env: env, UserFile: file})
		if err != nil || !maps.Equal(c.Registry.Policy, want) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}
