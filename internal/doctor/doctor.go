// Package doctor looks at what a machine has of what builds need, and says what to do where something is missing.
//
// Each check is a function that gives one or more lines (api.Check): files and limits of this machine (state.go, inotify.go),
// engines (engine.go), programs (programs.go), registries and indexes (net.go), and the variables that a daemon may have
// otherwise than a shell (environment.go). They run side by side, each for a limited time, and are listed in one order.
//
// It changes nothing, pushes nothing, and never tells the value of a variable or a login.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/builder/buildkit"
	"github.com/imgspecd/imgspecd/internal/publish/docker"
)

// Deps is what there is to look at. The functions ask; what they return must hold no logins.
type Deps struct {
	StateDir string
	Socket   string
	Environ  []string
	Watching func() error // why inputs are polled instead of watched; nil: nothing is watched by this process

	DockerUse string                              // never, auto or always
	DockerAt  func() (host, from string, _ error) // where the engine is, and what says so
	Docker    func(context.Context) (docker.Info, error)

	BuildKit      func(context.Context) (buildkit.Info, error)
	BuildKitNamed string // the setting or variable that names one; empty: none does

	UV       func(context.Context) (path, version string, _ error)
	Python   func(context.Context) (path, version string, _ error)                   // that reads projects' files
	Compiler func(ctx context.Context, minor string) (path, version string, ok bool) // that would compile packages for such a Python
	Bytecode string                                                                  // auto, on or off

	Images []api.Image                                   // of the watched projects
	Push   string                                        // always, on-request or never
	Probe  func(ctx context.Context, image string) error // whether the image could be pushed
	// Cache names the repository in which a team shares layers, and asks whether it can be read and written; empty: there is none.
	Cache     string
	CacheRead bool // it is only read
	ReadCache func(ctx context.Context) error
	PutCache  func(ctx context.Context) error
	Offline   bool
	Indexes   []string                               // addresses, without logins
	Index     func(ctx context.Context, i int) error // asks the index of that place in Indexes
}

// timeLimit bounds one check.
const timeLimit = 10 * time.Second

// Examine runs all checks.
func Examine(ctx context.Context, d Deps) api.Doctor {
	checks := []func(context.Context, Deps) []api.Check{
		state, socket, watches, dockerEngine, buildKit, uv, python, compilers, registries, cache, indexes,
	}
	found := make([][]api.Check, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeLimit)
			defer cancel()
			found[i] = check(ctx, d)
		})
	}
	wg.Wait()
	salt, env := environment(d.Environ)
	return api.Doctor{Checks: slices.Concat(found...), Salt: salt, Environment: env}
}

// area makes the checks of one area.
type area string

func (a area) ok(format string, args ...any) api.Check {
	return api.Check{Area: string(a), Level: api.LevelOK, Text: fmt.Sprintf(format, args...)}
}

func (a area) warn(hint, format string, args ...any) api.Check {
	return api.Check{Area: string(a), Level: api.LevelWarn, Text: fmt.Sprintf(format, args...), Hint: hint}
}

func (a area) fail(hint, format string, args ...any) api.Check {
	return api.Check{Area: string(a), Level: api.LevelFail, Text: fmt.Sprintf(format, args...), Hint: hint}
}

// size writes a number of bytes for people.
func size(n uint64) string {
	switch {
	case n >= 10_000_000_000:
		return fmt.Sprintf("%d GB", n/1_000_000_000)
	case n >= 1_000_000_000:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
