package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/service"
)

func (a *app) serviceCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Have the daemon started at each login",
		Long: `Has the user's service manager run the daemon: systemd, with socket activation, or
launchd on macOS. No right but yours is needed.`,
		Example: `  imgspecd service install
  imgspecd service status`,
		Args: a.noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.serviceInstallCmd(), a.serviceUninstallCmd(), a.serviceStatusCmd())
	return cmd
}

func (a *app) serviceInstallCmd() *cobra.Command {
	var env []string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install the service, and start it",
		Long: `Writes the service's definition, enables and starts it; where it is installed
already, it is written and started anew.

A service sees no shell's environment, so what the daemon needs of yours is named
with --env and recorded with its value, in a file that only you can read: proxies,
DOCKER_HOST, SSL_CERT_FILE, passwords of indexes. Given again, --env replaces what was
recorded; --env= records nothing.`,
		Example: `  imgspecd service install
  imgspecd service install --env HTTPS_PROXY,NO_PROXY --env PATH`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.installService(cmd.Context(), env, cmd.Flags().Changed("env"))
		},
	}
	cmd.Flags().StringArrayVar(&env, "env", nil, "record these variables of this shell; NAME=VALUE records that value")
	return cmd
}

func (a *app) serviceUninstallCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "uninstall",
		Short: "Stop the service and remove it",
		Long: `Stops the service and removes its definition, with the variables that were
recorded. The daemon's state and settings stay.`,
		Example: "  imgspecd service uninstall",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, _, err := a.manager()
			if err != nil {
				return err
			}
			found, err := m.Uninstall(cmd.Context())
			if err != nil {
				return err
			}
			text := "The service is removed.\n"
			if !found {
				text = "No service is installed.\n"
			}
			return a.print(struct {
				Removed bool `json:"removed"`
			}{found}, text)
		},
	}
}

func (a *app) serviceStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show whether the service is installed, enabled and running",
		Long: `Shows whether the service is installed, enabled and running, which program it runs,
and what was recorded for it. Exit code 3 unless it is running.`,
		Example: "  imgspecd service status --json | jq .running",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, d, err := a.manager()
			if err != nil {
				return err
			}
			s, err := m.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.print(s, a.serviceText(s, d)); err != nil {
				return err
			}
			if !s.Running {
				return &exitError{code: exitNotReady}
			}
			return nil
		},
	}
}

// manager is this system's service manager, and what it was told.
func (a *app) manager() (service.Manager, service.Deps, error) {
	cfg, _, err := a.config("")
	if err != nil {
		return nil, service.Deps{}, err
	}
	bin, err := program()
	if err != nil {
		return nil, service.Deps{}, err
	}
	home := a.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return nil, service.Deps{}, &api.Error{Code: api.CodeInvalid, Message: "HOME is not set, so it is not known where the service belongs"}
	}
	d := service.Deps{
		OS: runtime.GOOS, UID: os.Getuid(), Home: home, ConfigHome: filepath.Join(home, ".config"), RuntimeDir: a.Getenv("XDG_RUNTIME_DIR"), Binary: bin,
		StateDir: cfg.StateDir, Socket: cfg.Socket, Docker: cfg.Docker.Socket, Run: runProgram,
	}
	if c := a.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(c) {
		d.ConfigHome = c
	}
	m, err := service.New(d)
	return m, d, err
}

// program is where this program is: by its name on PATH if that is it, for what stands there stays over upgrades.
func program() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	named, err := exec.LookPath(filepath.Base(exe))
	if err != nil {
		return exe, nil //nolint:nilerr // it is not on PATH
	}
	x, errX := os.Stat(exe)
	y, errY := os.Stat(named)
	if errX == nil && errY == nil && os.SameFile(x, y) {
		return filepath.Abs(named)
	}
	return exe, nil
}

func runProgram(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if said := strings.TrimSpace(stderr.String()); err != nil && said != "" {
		err = fmt.Errorf("%s", strings.ReplaceAll(said, "\n", "; ")) //nolint:err113 // what it says is the reason
	}
	return stdout.String(), err
}

func (a *app) installService(ctx context.Context, names []string, given bool) error {
	variables, err := a.variables(names, given)
	if err != nil {
		return err
	}
	m, d, err := a.manager()
	if err != nil {
		return err
	}
	if err := a.nobodyServes(ctx, m); err != nil {
		return err
	}
	s, err := m.Install(ctx, variables)
	if err != nil {
		return err
	}
	if err := a.print(s, a.serviceText(s, d)); err != nil {
		return err
	}
	a.unrecorded(s.Env)
	if !s.Running {
		return &exitError{exitFailed, &api.Error{Code: api.CodeUnavailable, Message: "the service is installed, and does not run", Hint: "its log: " + s.Log}}
	}
	return nil
}

// variables reads what shall be recorded; nil: that was not said.
func (a *app) variables(names []string, given bool) (map[string]string, error) {
	if !given {
		return nil, nil
	}
	out := map[string]string{}
	for _, n := range names {
		if name, value, has := strings.Cut(n, "="); has { // the value may hold commas
			if name == "" {
				return nil, usage("--env %s names no variable", n)
			}
			out[name] = value
			continue
		}
		for name := range strings.SplitSeq(n, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			value, has := a.LookupEnv(name)
			if !has {
				return nil, usage("--env %s: this shell has no such variable", name)
			}
			out[name] = value
		}
	}
	return out, nil
}

// nobodyServes refuses to put a service beside a daemon that was started in another way: both want one socket and one state directory.
func (a *app) nobodyServes(ctx context.Context, m service.Manager) error {
	s, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if s.Running {
		return nil // what answers is the service
	}
	d, err := a.daemon()
	if err != nil {
		return err
	}
	info, err := d.Info(ctx)
	var said *api.Error
	switch {
	case errors.As(err, &said) && said.Code == api.CodeNoDaemon:
		return nil
	case err != nil:
		return err
	}
	if now, err := m.Status(ctx); err == nil && now.Running {
		return nil // systemd started it because it was asked
	}
	return &api.Error{
		Code: api.CodeConflict, Message: fmt.Sprintf("a daemon runs already that is no service (process %d)", info.PID),
		Hint: fmt.Sprintf("stop it first: kill %d", info.PID),
	}
}

// unrecorded says which variables of this shell the service lacks.
func (a *app) unrecorded(recorded []string) {
	var lacks []string
	for _, kv := range a.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if api.MattersToBuilds(name) && !slices.Contains(recorded, name) {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) > 0 {
		slices.Sort(lacks)
		list := strings.Join(append(slices.Clone(recorded), lacks...), ",") // --env replaces what was recorded
		a.note("This shell has what the service does not see: %s\n%s imgspecd service install --env %s", strings.Join(lacks, ", "), a.err.arrow, list)
	}
}

func (a *app) serviceText(s service.Status, d service.Deps) string {
	var b strings.Builder
	line := func(what, text string) { fmt.Fprintf(&b, "%-10s %s\n", what, clean(text)) }
	if !s.Installed {
		line("service", "not installed ("+s.Manager+")")
		b.WriteString(statusView{screen: a.out}.hint("", "install it: imgspecd service install"))
		return b.String()
	}
	run := "not running"
	if s.Running {
		run = fmt.Sprintf("running, process %d", s.PID)
	}
	enabled := "not enabled: it does not start at login"
	if s.Enabled {
		enabled = "enabled"
	}
	line("service", fmt.Sprintf("installed, %s, %s", enabled, run))
	line(s.Manager, s.State)
	line("defined in", s.File)
	line("program", s.Binary)
	if !s.ThisBinary {
		b.WriteString(statusView{screen: a.out}.hint("", "this program is "+d.Binary+"; to have the service run it: imgspecd service install"))
	}
	if len(s.Env) > 0 {
		line("recorded", strings.Join(s.Env, ", "))
	}
	line("log", s.Log)
	if d.Docker != config.SocketOff {
		line("for Docker", "DOCKER_HOST=unix://"+d.Docker+" lets flytekit without Docker find images")
	}
	return b.String()
}
