package cli

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

// versions is what `version` prints.
type versions struct {
	Version string    `json:"version"`
	API     string    `json:"api"`
	Go      string    `json:"go"`
	OS      string    `json:"os"`
	Arch    string    `json:"arch"`
	Daemon  *api.Info `json:"daemon"` // null where none runs
}

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program and of the daemon",
		Example: "  imgspecd version --json",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{Version: a.Version, API: api.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
			if d, err := a.daemon(); err == nil {
				ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
				defer cancel()
				if info, err := d.Info(ctx); err == nil {
					v.Daemon = &info
				}
			}
			return a.print(v, v.text())
		},
	}
}

func (v versions) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "imgspecd %s, API %s, %s %s/%s\n", v.Version, v.API, v.Go, v.OS, v.Arch)
	switch {
	case v.Daemon == nil:
		b.WriteString("no daemon runs\n")
	case v.Daemon.Version != v.Version:
		fmt.Fprintf(&b, "daemon %s, process %d: another version than this program; restart it\n", clean(v.Daemon.Version), v.Daemon.PID)
	default:
		fmt.Fprintf(&b, "daemon %s, process %d, state in %s\n", clean(v.Daemon.Version), v.Daemon.PID, clean(v.Daemon.StateDir))
	}
	return b.String()
}
