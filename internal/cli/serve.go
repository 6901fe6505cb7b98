package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

func (a *app) serveCmd() *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon, in the foreground or with --detach behind",
		Long: `Runs the daemon until it is interrupted. It watches the projects it was told of
and makes their images ready. Every flag below but --detach is a setting; imgspecd
config shows where each value comes from.

With --detach it goes on in the background: the command returns when the daemon
answers, and prints where its log is. If one is running already it says so. To have
one after each login, see imgspecd service.`,
		Example: `  imgspecd serve
  imgspecd serve --detach
  imgspecd serve --registry-push=on-request --log-level=debug`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.flags = cmd.Flags()
			cfg, _, err := a.config("")
			if err != nil {
				return err
			}
			if a.Serve == nil {
				return errors.New("this program has no daemon in it")
			}
			if detach {
				d, err := a.detach(cmd.Context(), cfg)
				if err != nil {
					return err
				}
				return a.print(d, d.text())
			}
			if err := a.Serve(cmd.Context(), cfg); err != nil {
				return err
			}
			return nil
		},
	}
	allFlags(cmd.Flags())
	cmd.Flags().BoolVar(&detach, "detach", false, "start the daemon in the background and return when it answers")
	return cmd
}

// local gives an engine in this process for one job.
func (a *app) local(cmd *cobra.Command, dir string) (Daemon, func() error, error) {
	if a.Local == nil {
		return nil, nil, &api.Error{Code: api.CodeInternal, Message: "this program has no engine in it"}
	}
	cfg, _, err := a.config(dir)
	if err != nil {
		return nil, nil, err
	}
	return a.Local(cmd.Context(), cfg)
}
