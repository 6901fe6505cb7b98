// Package service has the user's service manager run the daemon: systemd, or launchd on macOS.
//
//	Install → definition files written whole → the manager reads, enables and starts them → Status
//
// A manager starts the daemon with an environment of its own, not with that of a shell, so what the daemon
// needs of one is recorded on install.
//
// It never starts a daemon by itself, needs no right but the user's, and touches no file that it did not write.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imgspecd/imgspecd/api"
)

// Deps is what a manager works with. Paths are absolute.
type Deps struct {
	OS         string // as runtime.GOOS
	UID        int
	Home       string
	ConfigHome string // XDG_CONFIG_HOME, or ~/.config
	RuntimeDir string // XDG_RUNTIME_DIR; empty: none
	Binary     string // the daemon's

	StateDir string
	Socket   string
	Docker   string // the second socket; "off": none

	// Run runs a program and returns its stdout; an error holds what it wrote to stderr.
	Run func(ctx context.Context, name string, args ...string) (string, error)
}

// Status is how the service is.
type Status struct {
	Manager    string   `json:"manager"` // systemd or launchd
	Installed  bool     `json:"installed"`
	Enabled    bool     `json:"enabled"` // it starts at login
	Running    bool     `json:"running"`
	PID        int      `json:"pid,omitempty"`
	State      string   `json:"state,omitempty"`  // in the manager's own words
	File       string   `json:"file,omitempty"`   // that defines it
	Binary     string   `json:"binary,omitempty"` // that it runs
	ThisBinary bool     `json:"this_binary"`      // that is this program
	Env        []string `json:"env"`              // names of the variables that were recorded
	Log        string   `json:"log"`              // where its log is: a file, or the command that shows it
}

// Manager is one service manager.
type Manager interface {
	// Install writes the definition and starts the service. Variables nil: those of an earlier Install stay.
	Install(ctx context.Context, variables map[string]string) (Status, error)
	// Uninstall stops the service and removes what Install wrote; found: there was something.
	Uninstall(ctx context.Context) (found bool, err error)
	Status(ctx context.Context) (Status, error)
}

// New returns the manager of this system.
func New(d Deps) (Manager, error) {
	switch d.OS {
	case "linux":
		return &systemdManager{d}, nil
	case "darwin":
		return &launchdManager{d}, nil
	}
	return nil, &api.Error{Code: api.CodeUnsupported, Message: "no service manager of " + d.OS + " is known", Hint: "start the daemon with: imgspecd serve --detach"}
}

// defaultState is the state directory that a daemon without any variables has.
func (d Deps) defaultState() string { return filepath.Join(d.Home, ".local", "state", "imgspecd") }

// args are the flags by which the service's daemon has its state and socket where this shell looks for them.
func (d Deps) args(defaultSocket string) []string {
	var out []string
	if d.StateDir != d.defaultState() {
		out = append(out, "--state-dir="+d.StateDir)
	}
	if d.Socket != defaultSocket {
		out = append(out, "--socket="+d.Socket)
	}
	if d.Docker != filepath.Join(filepath.Dir(d.Socket), "docker.sock") {
		out = append(out, "--docker-socket="+d.Docker)
	}
	return out
}

// isThis reports whether a service's program is this one.
func (d Deps) isThis(binary string) bool {
	a, errA := os.Stat(binary)
	b, errB := os.Stat(d.Binary)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// write replaces a file as a whole. Those with variables may hold passwords, so they are the user's alone.
func write(path, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as the managers' own tools make it
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}

// remove removes a file that may not be there.
func remove(path string) (was bool, err error) {
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
