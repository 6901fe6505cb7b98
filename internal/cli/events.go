package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
)

func (a *app) eventsCmd() *cobra.Command {
	var since uint64
	var limit int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print what happens, as it happens",
		Long: `Prints what happens, one event per line, until it is interrupted. --since resumes
after an event that was seen; "gap" says that some were lost in between.`,
		Example: `  imgspecd events
  imgspecd events --json --since 1041 | jq -c 'select(.kind == "image") | .image'`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			n := 0
			for ev, err := range d.Events(cmd.Context(), client.EventsOptions{Since: since}) {
				if err != nil {
					return err
				}
				if a.json {
					err = a.printLine(ev)
				} else {
					_, err = fmt.Fprintln(a.Stdout, a.eventText(ev))
				}
				if err != nil {
					return err
				}
				if n++; limit > 0 && n >= limit {
					return nil
				}
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			return errStreamEnded
		},
	}
	cmd.Flags().Uint64Var(&since, "since", 0, "resume after the event of this number")
	cmd.Flags().IntVarP(&limit, "lines", "n", 0, "end after so many events")
	return cmd
}

func (a *app) eventText(ev api.Event) string {
	v := statusView{screen: a.out}
	head := fmt.Sprintf("%s  %6d  %s  ", ev.Time.Local().Format("15:04:05"), ev.Seq, pad(clean(ev.Kind), 7))
	var parts []string
	switch {
	case ev.Image != nil:
		parts = []string{stateLine(a.out, *ev.Image)}
		for _, p := range ev.Image.Progress {
			parts = append(parts, strings.TrimSpace(v.step(*ev.Image, p)))
		}
	case ev.Build != nil:
		symbol, st := v.symbol(ev.Build.State)
		parts = []string{clean(ev.Build.ID), clean(ev.Build.Label), v.paint(st, symbol+" "+string(ev.Build.State)), clean(ev.Build.Cause)}
		if ev.Build.Error != nil {
			parts = append(parts, clean(ev.Build.Error.Message))
		} else if ev.Build.Detail != "" {
			parts = append(parts, clean(ev.Build.Detail))
		}
	case ev.Project != nil:
		parts = []string{clean(ev.Project.Name), clean(ev.Project.Dir), count(ev.Project.Images, "image")}
		if n := len(ev.Project.Unreadable); n > 0 {
			parts = append(parts, fmt.Sprintf("%d unreadable", n))
		}
	case ev.Removed != "":
		parts = []string{clean(ev.Removed)}
	}
	return strings.TrimRight(v.paint(quiet, head)+strings.Join(parts, "  "), " ")
}
