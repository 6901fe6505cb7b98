package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/systemd"
)

// systemdManager is systemd's manager of one user.
type systemdManager struct{ Deps }

func (m *systemdManager) unit(name string) string {
	return filepath.Join(m.ConfigHome, "systemd", "user", name)
}

// dropIn is the file with the recorded variables.
func (m *systemdManager) dropIn() string {
	return m.unit(filepath.Join(systemd.ServiceName+".d", "environment.conf"))
}

func (m *systemdManager) ctl(ctx context.Context, args ...string) (string, error) {
	return m.Run(ctx, "systemctl", append([]string{"--user"}, args...)...)
}

// present says whether the user's manager runs; nothing is written for one that does not.
func (m *systemdManager) present(ctx context.Context) error {
	_, err := m.ctl(ctx, "show", "--property=Version")
	if err == nil {
		return nil
	}
	return &api.Error{
		Code: api.CodeUnavailable, Message: "systemd does not run for this user: " + err.Error(),
		Hint: "log in as this user (not by su or sudo), or loginctl enable-linger; without systemd, start the daemon with: imgspecd serve --detach",
	}
}

func (m *systemdManager) Install(ctx context.Context, variables map[string]string) (Status, error) {
	if err := m.present(ctx); err != nil {
		return Status{}, err
	}
	units, err := systemd.Units(m.layout())
	if err != nil {
		return Status{}, err
	}
	for _, name := range []string{systemd.ServiceName, systemd.SocketName} {
		if err := write(m.unit(name), units[name], 0o644); err != nil {
			return Status{}, err
		}
	}
	if variables != nil {
		if err := m.record(variables); err != nil {
			return Status{}, err
		}
	}
	for _, args := range [][]string{
		{"daemon-reload"},
		{"enable", systemd.SocketName, systemd.ServiceName},
		// Stopped first, so that sockets and program are the new ones; the service goes before its socket.
		{"stop", systemd.ServiceName, systemd.SocketName},
		{"start", systemd.SocketName, systemd.ServiceName},
	} {
		if _, err := m.ctl(ctx, args...); err != nil {
			return Status{}, &api.Error{
				Code: api.CodeUnavailable, Message: fmt.Sprintf("systemctl --user %s: %v", strings.Join(args, " "), err),
				Hint: "see why: " + m.log(),
			}
		}
	}
	s, err := m.Status(ctx)
	if err == nil && s.File != m.unit(systemd.ServiceName) {
		return s, &api.Error{
			Code:    api.CodeConflict,
			Message: fmt.Sprintf("systemd uses %s, and not %s", orNothing(s.File), m.unit(systemd.ServiceName)),
			Hint:    "is XDG_CONFIG_HOME in this shell another than systemd's? see systemctl --user show-environment",
		}
	}
	return s, err
}

func orNothing(path string) string {
	if path == "" {
		return "no unit of that name"
	}
	return path
}

// layout is where the units' things lie; what is in its usual place is left to systemd's own names for it.
func (m *systemdManager) layout() systemd.Layout {
	usual := filepath.Join(m.RuntimeDir, "imgspecd", "imgspecd.sock")
	if m.RuntimeDir == "" {
		usual = ""
	}
	l := systemd.Layout{Binary: m.Binary, Args: m.args(usual)}
	if m.Socket != usual {
		l.Socket = m.Socket
	}
	switch {
	case m.Docker == systemd.NoSocket:
		l.Docker = systemd.NoSocket
	case usual == "" || m.Docker != filepath.Join(filepath.Dir(usual), "docker.sock"):
		l.Docker = m.Docker
	}
	return l
}

// record writes the variables, or removes what is recorded if there are none.
func (m *systemdManager) record(variables map[string]string) error {
	if len(variables) == 0 {
		_, err := remove(m.dropIn())
		return err
	}
	text, err := systemd.Environment(variables)
	if err != nil {
		return err
	}
	return write(m.dropIn(), text, 0o600)
}

func (m *systemdManager) Uninstall(ctx context.Context) (bool, error) {
	var found bool
	for _, name := range []string{systemd.ServiceName, systemd.SocketName} {
		if _, err := os.Lstat(m.unit(name)); err == nil {
			found = true
		}
	}
	absent := m.present(ctx)
	if found && absent == nil {
		if _, err := m.ctl(ctx, "disable", "--now", systemd.ServiceName, systemd.SocketName); err != nil {
			return found, &api.Error{Code: api.CodeUnavailable, Message: "systemctl --user disable --now: " + err.Error()}
		}
	}
	files := []string{m.unit(systemd.ServiceName), m.unit(systemd.SocketName), m.dropIn()}
	if absent != nil { // who would remove the links of enable?
		files = append(files, m.unit("default.target.wants/"+systemd.ServiceName), m.unit("sockets.target.wants/"+systemd.SocketName))
	}
	for _, f := range files {
		was, err := remove(f)
		if err != nil {
			return found, err
		}
		found = found || was
	}
	_ = os.Remove(filepath.Dir(m.dropIn())) // not if others' drop-ins are in it
	if absent == nil && found {
		_, err := m.ctl(ctx, "daemon-reload")
		return found, err
	}
	return found, nil
}

// execPath finds the program in what `systemctl show` says of ExecStart.
var execPath = regexp.MustCompile(`\{ path=(.*?) ; `)

func (m *systemdManager) Status(ctx context.Context) (Status, error) {
	s := Status{Manager: "systemd", Log: m.log(), Env: []string{}}
	if err := m.present(ctx); err != nil {
		return s, err
	}
	out, err := m.ctl(ctx, "show", systemd.ServiceName, "--property=LoadState,ActiveState,SubState,MainPID,UnitFileState,FragmentPath,ExecStart")
	if err != nil {
		return s, &api.Error{Code: api.CodeUnavailable, Message: "systemctl --user show: " + err.Error()}
	}
	said := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		said[key] = value
	}
	s.Installed = said["LoadState"] == "loaded"
	s.Enabled = said["UnitFileState"] == "enabled"
	s.Running = said["ActiveState"] == "active"
	s.File = said["FragmentPath"]
	if s.Installed {
		s.State = said["ActiveState"] + " (" + said["SubState"] + ")"
	}
	if pid, err := strconv.Atoi(said["MainPID"]); err == nil {
		s.PID = pid
	}
	if p := execPath.FindStringSubmatch(said["ExecStart"]); p != nil {
		s.Binary = p[1]
		s.ThisBinary = m.isThis(p[1])
	}
	text, err := os.ReadFile(m.dropIn())
	if err == nil {
		s.Env = append(s.Env, systemd.Recorded(string(text))...)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("read the recorded environment: %w", err)
	}
	return s, nil
}

func (m *systemdManager) log() string { return "journalctl --user -u " + systemd.ServiceName }
