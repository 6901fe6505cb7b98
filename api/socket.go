package api

import "path/filepath"

// Where the two ends meet, when nobody says otherwise. Both ends ask these
// functions, with the environment handed in, so that they cannot disagree.

// SocketPath returns the daemon's socket: $IMGSPECD_SOCKET, else one under
// $XDG_RUNTIME_DIR, else (no session manager) one under the state directory.
// It is empty if the environment names no home at all.
func SocketPath(getenv func(string) string) string {
	if p := getenv("IMGSPECD_SOCKET"); p != "" {
		return p
	}
	return DefaultSocket(getenv, StateDir(getenv))
}

// DefaultSocket is SocketPath for a state directory that is known already.
func DefaultSocket(getenv func(string) string, stateDir string) string {
	if run := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		return filepath.Join(run, "imgspecd", "imgspecd.sock")
	}
	if stateDir == "" {
		return ""
	}
	return filepath.Join(stateDir, "run", "imgspecd.sock")
}

// StateDir returns the daemon's state directory: $IMGSPECD_STATE_DIR, else
// imgspecd under $XDG_STATE_HOME, which defaults to ~/.local/state.
func StateDir(getenv func(string) string) string {
	if d := getenv("IMGSPECD_STATE_DIR"); d != "" {
		return d
	}
	if d := getenv("XDG_STATE_HOME"); filepath.IsAbs(d) { // the XDG rules: a relative path is to be ignored
		return filepath.Join(d, "imgspecd")
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "imgspecd")
	}
	return ""
}
