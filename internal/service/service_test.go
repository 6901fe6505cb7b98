package service

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/api"
)

var update = flag.Bool("update", false, "write the golden files")

// manager is a manager's command as a script of answers; it records what it was asked.
type manager struct {
	calls   []string
	answers map[string]string // by the beginning of the call
	fails   map[string]string
}

func (m *manager) run(_ context.Context, name string, args ...string) (string, error) {
	call := strings.Join(append([]string{name}, args...), " ")
	m.calls = append(m.calls, call)
	for begin, reason := range m.fails {
		if strings.HasPrefix(call, begin) {
			return "", errors.New(reason)
		}
	}
	for begin, out := range m.answers {
		if strings.HasPrefix(call, begin) {
			return out, nil
		}
	}
	return "", nil
}

// changes are the calls that are no questions.
func (m *manager) changes() []string {
	return slices.DeleteFunc(slices.Clone(m.calls), func(c string) bool { return strings.Contains(c, " show ") || strings.Contains(c, " print ") })
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// deps are those of a user whose things are where they usually are.
func deps(home, goos string, m *manager) Deps {
	state := filepath.Join(home, ".local/state/imgspecd")
	d := Deps{
		OS: goos, UID: 501, Home: home, ConfigHome: filepath.Join(home, ".config"), Binary: "/nowhere/bin/imgspecd",
		StateDir: state, Socket: filepath.Join(state, "run/imgspecd.sock"), Run: m.run,
	}
	if goos == "linux" {
		d.RuntimeDir = "/run/user/501"
		d.Socket = "/run/user/501/imgspecd/imgspecd.sock"
	}
	d.Docker = filepath.Join(filepath.Dir(d.Socket), "docker.sock")
	return d
}

func TestLaunchd(t *testing.T) {
	home := t.TempDir()
	said := "gui/501/" + label + " = {\n\tactive count = 1\n\tstate = running\n\n\tprogram = /nowhere/bin/imgspecd\n\tpid = 77\n\tspawn type = background\n}\n"
	fake := &manager{answers: map[string]string{"launchctl print": said}, fails: map[string]string{"launchctl bootout": "Boot-out failed: 3: No such process"}}
	m, err := New(deps(home, "darwin", fake))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := m.Status(t.Context()); err != nil || s.Installed {
		t.Errorf("before: %+v, %v", s, err)
	}
	s, err := m.Install(t.Context(), map[string]string{"HTTPS_PROXY": "http://me:<&>@proxy", "PATH": "/opt/homebrew/bin:/usr/bin"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "Library/LaunchAgents", label+".plist")
	want := Status{
		Manager: "launchd", Installed: true, Enabled: true, Running: true, PID: 77, State: "running", File: file,
		Binary: "/nowhere/bin/imgspecd", Env: []string{"HTTPS_PROXY", "PATH"}, Log: filepath.Join(home, ".local/state/imgspecd/daemon.log"),
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("after (-want +got):\n%s", d)
	}
	golden(t, "agent.plist", strings.ReplaceAll(read(t, file), home, "/Users/me"))
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: it holds a password", fi.Mode(), err)
	}
	if d := cmp.Diff([]string{
		"launchctl bootout gui/501/" + label, "launchctl enable gui/501/" + label, "launchctl bootstrap gui/501 " + file,
	}, fake.changes()); d != "" {
		t.Errorf("launchctl is asked (-want +got):\n%s", d)
	}

	before := read(t, file)
	if _, err := m.Install(t.Context(), nil); err != nil || read(t, file) != before {
		t.Errorf("installed again, what was recorded is lost: %v\n%s", err, read(t, file))
	}
	if s, err = m.Install(t.Context(), map[string]string{}); err != nil || len(s.Env) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if found, err := m.Uninstall(t.Context()); err != nil || !found {
		t.Errorf("uninstall: %v, %v", found, err)
	}
	if found, err := m.Uninstall(t.Context()); err != nil || found {
		t.Errorf("uninstall again: %v, %v", found, err)
	}
}

func TestLaunchdElsewhere(t *testing.T) {
	home := t.TempDir()
	fake := &manager{fails: map[string]string{"launchctl bootstrap": "Bootstrap failed: 125: Domain does not support specified action"}}
	d := deps(home, "darwin", fake)
	d.StateDir, d.Socket, d.Docker = filepath.Join(home, "state"), "/tmp/i/i.sock", "off"
	m, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Install(t.Context(), nil)
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeUnavailable || !strings.Contains(e.Message, "Domain does not support") || !strings.Contains(e.Hint, "serve --detach") {
		t.Errorf("without a session: %v", err)
	}
	j, err := m.(*launchdManager).read()
	if want := []string{d.Binary, "serve", "--state-dir=" + d.StateDir, "--socket=/tmp/i/i.sock", "--docker-socket=off"}; err != nil || !slices.Equal(j.arguments, want) {
		t.Errorf("%q, %v; want %q", j.arguments, err, want)
	}
}

const shown = "ExecStart={ path=/nowhere/bin/imgspecd ; argv[]=/nowhere/bin/imgspecd serve ; ignore_errors=no }\nLoadState=loaded\nActiveState=active\nSubState=running\nMainPID=77\nUnitFileState=enabled\nFragmentPath="

func TestSystemd(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, ".config/systemd/user")
	fake := &manager{answers: map[string]string{"systemctl --user show imgspecd.service": shown + dir + "/imgspecd.service\n"}}
	m, err := New(deps(home, "linux", fake))
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Install(t.Context(), map[string]string{"NO_PROXY": "a,b"})
	if err != nil || !s.Installed || !s.Enabled || !s.Running || s.PID != 77 || s.Binary != "/nowhere/bin/imgspecd" || s.ThisBinary {
		t.Errorf("%+v, %v", s, err)
	}
	golden(t, "imgspecd.service", read(t, filepath.Join(dir, "imgspecd.service")))
	golden(t, "imgspecd.socket", read(t, filepath.Join(dir, "imgspecd.socket")))
	if fi, err := os.Stat(filepath.Join(dir, "imgspecd.service.d/environment.conf")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: it may hold a password", fi, err)
	}
}

// The daemon of the service must be where commands of this shell look for it.
func TestSystemdElsewhere(t *testing.T) {
	home := t.TempDir()
	d := deps(home, "linux", &manager{answers: map[string]string{"systemctl --user show imgspecd.service": "LoadState=not-found\nFragmentPath=\n"}})
	d.StateDir, d.Socket, d.Docker = filepath.Join(home, "state"), "/tmp/i/i.sock", "/tmp/i/docker.sock"
	m, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Install(t.Context(), nil)
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeConflict || !strings.Contains(e.Message, "systemd uses no unit of that name") {
		t.Errorf("where systemd does not look: %v", err)
	}
	unit := read(t, filepath.Join(d.ConfigHome, "systemd/user/imgspecd.service"))
	if !strings.Contains(unit, "ExecStart=/nowhere/bin/imgspecd serve --state-dir="+d.StateDir+" --socket=/tmp/i/i.sock\n") {
		t.Error(unit)
	}
	socket := read(t, filepath.Join(d.ConfigHome, "systemd/user/imgspecd.socket"))
	if !strings.Contains(socket, "ListenStream=/tmp/i/i.sock\nListenStream=/tmp/i/docker.sock\n") {
		t.Error(socket)
	}
}

// Without systemd what was written before can still be removed, with the links that systemd would remove.
func TestUninstallWithoutSystemd(t *testing.T) {
	home := t.TempDir()
	d := deps(home, "linux", &manager{fails: map[string]string{"systemctl": "Failed to connect to bus"}})
	dir := filepath.Join(d.ConfigHome, "systemd/user")
	files := []string{"imgspecd.service", "imgspecd.socket", "imgspecd.service.d/environment.conf", "default.target.wants/imgspecd.service", "sockets.target.wants/imgspecd.socket"}
	for _, f := range append(files, "imgspecd.service.d/mine.conf") {
		if err := write(filepath.Join(dir, f), "x", 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := m.Uninstall(t.Context()); err != nil || !found {
		t.Errorf("%v, %v", found, err)
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f)); err == nil {
			t.Errorf("%s is left", f)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "imgspecd.service.d/mine.conf")); err != nil {
		t.Error("the user's own drop-in is gone")
	}
	if _, err := New(Deps{OS: "plan9"}); err == nil {
		t.Error("a manager of an unknown system")
	}
}
