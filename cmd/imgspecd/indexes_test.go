package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/pypa"
	"github.com/imgspecd/imgspecd/internal/resolve"
	"github.com/imgspecd/imgspecd/internal/store"
)

// What is set of indexes reaches uv, whoever said it.
func TestResolverIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		set     func(*config.Config)
		want    []string
		not     string
	}{
		"pip's variables": {
			environ: []string{"PIP_INDEX_URL=https://pip", "PIP_EXTRA_INDEX_URL=https://a https://b"},
			want:    []string{"UV_DEFAULT_INDEX=https://pip", "UV_EXTRA_INDEX_URL=https://a https://b"},
		},
		"settings win": {
			environ: []string{"PIP_INDEX_URL=https://pip", "UV_INDEX_URL=https://uv", "UV_INDEX=https://uv2", "UV_KEYRING_PROVIDER=subprocess"},
			set: func(c *config.Config) {
				c.Index = config.Index{Default: "https://conf", Extra: []string{"https://conf2"}, Keyring: config.KeyringNever}
			},
			want: []string{"UV_DEFAULT_INDEX=https://conf", "UV_INDEX=https://conf2", "UV_KEYRING_PROVIDER=disabled"},
			not:  "https://uv",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			uv := filepath.Join(dir, "uv")
			if err := os.WriteFile(uv, []byte("#!/bin/sh\nenv >"+dir+"/env\ncat >/dev/null\necho 'lock-version = \"1.0\"'\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			st, err := store.Open(filepath.Join(dir, "state"))
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			cfg := &config.Config{UV: config.UV{Path: uv}, Index: config.Index{Keyring: config.KeyringAuto}, Resolve: config.Resolve{Refresh: time.Hour}}
			if tt.set != nil {
				tt.set(cfg)
			}
			r := resolver(cfg, slog.New(slog.DiscardHandler), st, append(tt.environ, "PATH=/usr/bin:/bin"))
			_, _, err = r.Resolve(t.Context(), resolve.Request{
				Packages:    []string{"x"},
				Environment: pypa.Environment{Python: "3.12.7", OS: "linux", Arch: "amd64", Libc: pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}},
			})
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, "env"))
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range tt.want {
				if !strings.Contains(string(b), w+"\n") {
					t.Errorf("uv's environment lacks %s:\n%s", w, b)
				}
			}
			if tt.not != "" && strings.Contains(string(b), tt.not) {
				t.Errorf("uv's environment has %s", tt.not)
			}
		})
	}
}
