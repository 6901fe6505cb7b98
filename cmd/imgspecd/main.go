// Command imgspecd keeps the images of Flyte projects built before a run asks for them.
//
// `imgspecd serve` is the daemon; every other command asks it. This is the only
// place where the rooms are wired together: main.go is the process, assemble.go
// makes an engine from a configuration, local.go lets the command line use one
// without a daemon.
package main

import (
	"os"
	"runtime/debug"

	"github.com/imgspecd/imgspecd/internal/cli"
)

// version is set by the linker for a release.
var version = ""

func main() {
	os.Exit(cli.Main(cli.Deps{
		Args:   os.Args[1:],
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Getenv: os.Getenv, LookupEnv: os.LookupEnv, Environ: os.Environ,
		Version: versionText(),
		Serve:   serve,
		Local:   local,
		Explain: explain,
		Doctor:  doctorAlone,
	}))
}

// versionText is the release, or for other builds what the go command recorded.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}
