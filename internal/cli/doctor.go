package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

func (a *app) doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check what this machine has of what builds need",
		Long: `Looks at the daemon, its state directory and socket, limits on file events, the
Docker engine, BuildKit (which one is used, and why), uv, Pythons, the registries
of the watched specs and the package indexes, and says what to do about each that
is wrong. The daemon looks, for it is the one that builds; without a daemon this
process does. Nothing is changed and nothing is pushed.

Exit code 1 if anything failed.`,
		Example: `  imgspecd doctor
  imgspecd doctor --json | jq '.checks[] | select(.level != "ok")'`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.examine(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.print(d, a.doctorText(d)); err != nil {
				return err
			}
			if d.Failed() {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
}

// examine asks the daemon, or looks from this process where none is running.
func (a *app) examine(ctx context.Context) (api.Doctor, error) {
	cfg, _, err := a.config("")
	if err != nil {
		return api.Doctor{}, err
	}
	d, err := a.daemon()
	if err != nil {
		return api.Doctor{}, err
	}
	info, err := d.Info(ctx)
	var said *api.Error
	switch {
	case errors.As(err, &said) && said.Code == api.CodeNoDaemon && a.Doctor != nil:
		out, err := a.Doctor(ctx, cfg)
		own := check("daemon", api.LevelWarn, "none is running: "+said.Message, "start it: imgspecd serve --detach, or at each login: imgspecd service install")
		out.Checks = slices.Insert(out.Checks, 0, own)
		return out, err
	case err != nil:
		return api.Doctor{}, err
	}
	checks := []api.Check{a.daemonCheck(info)}
	out, err := d.Doctor(ctx)
	if isNotFound(err) && a.Doctor != nil { // it is older than this route
		out, err = a.Doctor(ctx, cfg)
		out.Environment = nil
	}
	if err != nil {
		return api.Doctor{}, err
	}
	if out.Environment != nil {
		out.Checks = append(out.Checks, a.environmentChecks(out)...)
	}
	out.Checks = append(checks, out.Checks...)
	return out, nil
}

func check(area string, level api.Level, text, hint string) api.Check {
	return api.Check{Area: area, Level: level, Text: text, Hint: hint}
}

func (a *app) daemonCheck(i api.Info) api.Check {
	text := i.Version
	if !i.StartedAt.IsZero() {
		text += ", up " + upTime(a.Now().Sub(i.StartedAt))
	}
	if i.Socket != "" {
		text += ", on " + i.Socket
	}
	if i.Version != a.Version {
		return check("daemon", api.LevelWarn, text+"; this program is "+a.Version, "restart it: stop imgspecd serve, then start it with this program")
	}
	return check("daemon", api.LevelOK, text, "")
}

// environmentChecks compares the daemon's variables with this shell's. Neither side tells the other a value.
func (a *app) environmentChecks(d api.Doctor) []api.Check {
	var lacks, extra, other []string
	here := map[string]bool{}
	for _, kv := range a.Environ() {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || !api.MattersToBuilds(name) {
			continue
		}
		here[name] = true
		switch theirs, has := d.Environment[name]; {
		case !has:
			lacks = append(lacks, name)
		case theirs != api.ConcealValue(d.Salt, value):
			other = append(other, name)
		}
	}
	for name := range d.Environment {
		if !here[name] {
			extra = append(extra, name)
		}
	}
	var out []api.Check
	add := func(names []string, format, hint string) {
		slices.Sort(names)
		if len(names) > 0 {
			out = append(out, check("environment", api.LevelWarn, fmt.Sprintf(format, strings.Join(names, ", ")), hint))
		}
	}
	add(lacks, "the daemon lacks what this shell has: %s", "start the daemon with them set (a service: imgspecd service install --env NAME); builds see the daemon's environment, not this one")
	add(other, "the daemon has another value than this shell: %s", "start the daemon anew if this shell's is the right one")
	add(extra, "the daemon has what this shell lacks: %s", "runs from this shell may look elsewhere than the daemon does")
	if len(out) == 0 {
		out = append(out, check("environment", api.LevelOK, "the daemon's is as this shell's, as far as it matters to builds", ""))
	}
	return out
}

// areaWidth is that of the longest area.
const areaWidth = len("environment")

func (a *app) doctorText(d api.Doctor) string {
	var b strings.Builder
	s := a.out
	by := map[api.Level]int{}
	for _, c := range d.Checks {
		by[c.Level]++
		sign := s.paint(good, s.good)
		switch c.Level {
		case api.LevelWarn:
			sign = s.paint(warn, s.warn)
		case api.LevelFail:
			sign = s.paint(bad, s.bad)
		}
		b.WriteString(s.para(sign+" "+s.paint(quiet, pad(clean(c.Area), areaWidth))+"  ", normal, clean(c.Text)))
		b.WriteString(statusView{screen: s}.hint(strings.Repeat(" ", areaWidth+4), c.Hint))
	}
	fmt.Fprintf(&b, "\n%s\n", s.paint(quiet, count(by[api.LevelFail], "failure")+", "+count(by[api.LevelWarn], "warning")))
	return b.String()
}
