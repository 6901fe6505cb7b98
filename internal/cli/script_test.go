package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"imgspecd": func() {
			os.Exit(Main(Deps{
				Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, LookupEnv: os.LookupEnv, Environ: os.Environ,
				Version: "1.4.0", Serve: serveToy, Local: localToy, Explain: explainToy, Doctor: doctorToy,
			}))
		},
	})
}

// TestScripts runs the program as users do, against the real daemon with a toy engine.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("IMGSPECD_SOCKET", e.WorkDir+"/s")
			e.Setenv("HOME", e.WorkDir)
			e.Defer(func() { killDetached(e.WorkDir) })
			return os.Chmod(e.WorkDir, 0o700) // as a socket's directory must be
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"waitfor":   waitFor,
			"enddaemon": endDetached,
		},
	})
}

// exits CODE COMMAND...: runs a command and checks its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// waitfor FILE: waits until a file exists.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	for i := 0; i < 500; i++ {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}

// enddaemon: ends the daemon that `serve --detach` started, and waits until its socket is gone.
func endDetached(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("state/detach.lock")
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
	for i := 0; i < 500; i++ {
		if _, err := os.Lstat(ts.MkAbs("s")); errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("process %d does not end", pid)
}

// killDetached leaves no daemon behind when a script fails.
func killDetached(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "state", "detach.lock"))
	if err != nil {
		return
	}
	if _, err := os.Lstat(filepath.Join(dir, "s")); err != nil {
		return // it has ended
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
