package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) forgetCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "forget IMAGE",
		Short: "Forget an image spec that a run taught",
		Long: `Forgets what a run taught of an image. A spec that no file of the project holds is
no longer built then; one that a file holds goes by that file alone. Images that are
ready stay where they are. unwatch forgets all of a project.`,
		Example:           "  imgspecd forget churn-model/flytekit",
		Args:              exactly(1, "one IMAGE"),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			im, err := d.Image(cmd.Context(), args[0], 0)
			if err != nil {
				return err
			}
			if err := d.ForgetSpec(cmd.Context(), im.Label); err != nil {
				return err
			}
			return a.print(im, "Forgot what a run taught of "+clean(im.Label)+"\n")
		},
	}
}
