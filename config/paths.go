package config

import (
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
)

// stateDir and defaultSocket come from api, where both ends of the socket find
// them. IMGSPECD_* are layers of their own here, so they are hidden.

func (l Lookup) stateDir() string {
	return api.StateDir(l.withoutOwn())
}

func (l Lookup) defaultSocket(stateDir string) string {
	return api.DefaultSocket(l.withoutOwn(), stateDir)
}

func (l Lookup) withoutOwn() func(string) string {
	return func(name string) string {
		if name == "IMGSPECD_STATE_DIR" || name == "IMGSPECD_SOCKET" {
			return ""
		}
		return l.get(name)
	}
}

// UserFile returns where the user's settings are, whether or not they exist;
// empty without a home.
func (l Lookup) UserFile() string {
	if d := l.get("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "imgspecd", "config.toml")
	}
	if home := l.get("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "imgspecd", "config.toml")
	}
	return ""
}
