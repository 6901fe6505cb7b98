package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

// forever is a wait without an end of its own.
const forever = 365 * 24 * time.Hour

func (a *app) imageCmd() *cobra.Command {
	var wait string
	cmd := &cobra.Command{
		Use:   "image [IMAGE|DIR]",
		Short: "Print the reference of an image that is ready",
		Long: `Prints the reference of an image, alone, if it is ready. Exit code 3 if it is not
ready yet, 1 if it failed, 124 if --wait=DURATION was not enough.`,
		Example: `  docker run --rm $(imgspecd image) python -V
  imgspecd image hello --wait=2m`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			limit, err := duration("--wait", wait)
			if err != nil {
				return err
			}
			im, err := findImage(cmd.Context(), d, first(args))
			if err != nil {
				return err
			}
			if limit > 0 {
				if im, err = waitReady(cmd.Context(), d, im, limit); err != nil {
					return err
				}
			}
			return a.printImage(im, limit > 0)
		},
	}
	cmd.Flags().StringVar(&wait, "wait", "", "wait until it is ready, or at most so long (e.g. --wait=2m)")
	cmd.Flags().Lookup("wait").NoOptDefVal = "forever"
	return cmd
}

// duration reads a flag's length of time; "forever" is one, "" is none.
func duration(flag, s string) (time.Duration, error) {
	switch s {
	case "":
		return 0, nil
	case "forever":
		return forever, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, usage("%s=%s: must be a duration such as 90s or 2m", flag, s)
	}
	return d, nil
}

// waitReady has the daemon wait until an image is ready or nothing more will happen to it.
func waitReady(ctx context.Context, d Daemon, im api.Image, limit time.Duration) (api.Image, error) {
	if im.State.Final() {
		return im, nil
	}
	if limit == forever {
		limit = -1
	}
	return d.Image(ctx, im.Label, limit)
}

func (a *app) printImage(im api.Image, waited bool) error {
	if len(im.Differs) > 0 && im.State == api.Ready && !a.json {
		a.note("%s", strings.TrimRight(statusView{screen: a.err, now: a.Now()}.differs("", im), "\n"))
	}
	if a.json {
		if err := a.printJSON(im); err != nil {
			return err
		}
	}
	switch {
	case im.State == api.Ready:
		if a.json {
			return nil
		}
		return a.print(nil, im.Name+"\n")
	case im.State.Final():
		if !a.json {
			a.note("%s", stateLine(a.err, im))
			if im.Build != "" {
				a.note("%s imgspecd logs %s", a.err.arrow, clean(im.Label))
			}
		}
		return &exitError{code: exitFailed}
	}
	if !a.json {
		a.note("%s", stateLine(a.err, im))
		if im.Detail != "" && im.State != api.Waiting {
			a.note("  %s", clean(im.Detail))
		}
	}
	if waited {
		return &exitError{code: exitTimeout}
	}
	if !a.json {
		a.note("%s imgspecd image %s --wait", a.err.arrow, clean(im.Label))
	}
	return &exitError{code: exitNotReady}
}
