package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

func (a *app) serveCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon in the foreground",
		Long: `Runs the daemon until it is interrupted. It watches the projects it was told of
and makes their images ready. Every flag below is a setting; imgspecd config
shows where each value comes from.`,
		Example: `  imgspecd serve
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
			if err := a.Serve(cmd.Context(), cfg); err != nil {
				return err
			}
			return nil
		},
	}
	allFlags(cmd.Flags())
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
