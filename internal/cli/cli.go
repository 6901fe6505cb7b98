// Package cli is imgspecd's command line: what a person types, and what a script reads.
//
// Each command is one file. It asks the daemon through a Daemon (the client
// package over the socket), and writes the answer twice over: as text for people
// on a screen it has measured, or with --json as the API's own types. stdout is
// data, stderr is narration; the exit codes are those of exit.go. What is shown is
// made by pure functions of a report, a screen and a time, so that each screen is
// a golden file; the live view draws the same screens again when an event comes.
//
// It never polls, computes no names, builds nothing, and reads no environment but
// through its Deps. What needs an engine (serve, build --no-daemon, explain
// without a daemon) is handed in.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/config"
)

// Deps is all that the command line needs from its process.
type Deps struct {
	Args   []string // without the program's name
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	// LookupEnv tells a variable that is empty from one that is not set; nil: as Getenv, empty is not set.
	LookupEnv func(string) (string, bool)
	Environ   func() []string  // all variables, as os.Environ; nil: none
	Now       func() time.Time // nil: time.Now

	Version string // of this binary

	// Connect gives the daemon that a configuration points to; nil: client.Client on its socket.
	Connect func(*config.Config) Daemon
	// Serve runs the daemon until ctx ends.
	Serve func(context.Context, *config.Config) error
	// Local gives an engine in this process, for `build --no-daemon`; close ends it.
	Local func(context.Context, *config.Config) (engine Daemon, close func() error, err error)
	// Explain names and plans a spec in this process, for `explain --spec` without a daemon.
	Explain func(context.Context, *config.Config, api.Explain) (api.Explanation, error)
	// Doctor looks at the machine from this process, for `doctor` without a daemon.
	Doctor func(context.Context, *config.Config) (api.Doctor, error)
}

// Main runs one command and returns the process's exit code.
func Main(d Deps) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, d)
}

// app is one run of the program.
type app struct {
	Deps
	json  bool
	color string
	flags *pflag.FlagSet // the settings that were given as flags
	out   screen         // stdout
	err   screen         // stderr
}

func run(ctx context.Context, d Deps) int {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Environ == nil {
		d.Environ = func() []string { return nil }
	}
	if d.Getenv == nil {
		d.Getenv = func(string) string { return "" }
	}
	if d.LookupEnv == nil {
		d.LookupEnv = func(name string) (string, bool) { v := d.Getenv(name); return v, v != "" }
	}
	a := &app{Deps: d, color: "auto"}
	a.look()
	root := a.root()
	root.SetArgs(d.Args)
	root.SetIn(d.Stdin)
	root.SetOut(d.Stdout)
	root.SetErr(d.Stderr)
	return a.finish(ctx, root.ExecuteContext(ctx))
}

// look measures both streams.
func (a *app) look() {
	a.out = newScreen(a.Stdout, a.Getenv, a.color)
	a.err = newScreen(a.Stderr, a.Getenv, a.color)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "imgspecd",
		Short: "Container images that are ready before you need them",
		Long: `imgspecd watches projects that use flytekit's ImageSpec. Save a lockfile, and
the image that your next run looks for is built and put where flytekit looks.`,
		Example: `  imgspecd serve --detach   # start the daemon
  imgspecd watch .          # watch this project
  imgspecd status -w        # see its images become ready`,
		Args:          a.noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       a.Version,

		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate("imgspecd {{.Version}}\n")
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print the API's JSON instead of text")
	f.StringVar(&a.color, "color", "auto", "use colours: auto, always or never")
	a.configFlags(f)
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch a.color {
		case "auto", "always", "never":
		default:
			return usage("--color=%s: must be auto, always or never", a.color)
		}
		a.look()
		return nil
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		a.serveCmd(), a.watchCmd(), a.unwatchCmd(), a.statusCmd(), a.buildCmd(), a.imageCmd(), a.logsCmd(),
		a.explainCmd(), a.forgetCmd(), a.pruneCmd(), a.eventsCmd(), a.doctorCmd(), a.serviceCmd(), a.configCmd(), a.versionCmd(), a.completionCmd(),
	)
	return root
}

// noSuchCommand is what the root says to an argument that no command took.
func (a *app) noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("no command %q", args[0])
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		msg += "; did you mean " + strings.Join(like, " or ") + "?"
	}
	return &usageError{msg}
}

// atMost takes up to n arguments; more are a usage error.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("%s takes at most %s, not %d", cmd.CommandPath(), count(n, "argument"), len(args))
		}
		return nil
	}
}

// exactly takes n arguments, called what.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// first is the first argument, or "".
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// finish reports err and says how the process ends.
func (a *app) finish(ctx context.Context, err error) int {
	code := exitCode(ctx, err)
	var silent *exitError
	if err == nil || (errors.As(err, &silent) && silent.err == nil) {
		return code
	}
	e := asError(err, code)
	if a.json || wantsJSON(a.Args) {
		_ = a.printJSON(api.ErrorBody{Error: e})
		return code
	}
	fmt.Fprintf(a.Stderr, "%s %s\n", a.err.paint(bad, "imgspecd:"), clean(e.Message))
	fmt.Fprint(a.Stderr, statusView{screen: a.err}.output("  ", e.Output))
	if e.Hint != "" {
		fmt.Fprint(a.Stderr, a.err.para(a.err.arrow+" ", normal, clean(e.Hint)))
	}
	return code
}

// wantsJSON reports whether --json was asked for in a command line that did not parse.
func wantsJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}

// note narrates on stderr.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.Stderr, format+"\n", args...)
}
