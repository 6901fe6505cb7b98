package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) unwatchCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "unwatch DIR|PROJECT",
		Short: "Stop watching a project",
		Long: `Stops watching a project, by its directory, name or ID. Images that are ready stay
where they are.`,
		Example:           "  imgspecd unwatch .",
		Args:              exactly(1, "one DIR or PROJECT"),
		ValidArgsFunction: a.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			projects, err := d.Projects(cmd.Context())
			if err != nil {
				return err
			}
			p, err := findExactProject(projects, args[0])
			if err != nil {
				return err
			}
			if err := d.RemoveProject(cmd.Context(), p.ID); err != nil {
				return err
			}
			return a.print(p, "No longer watching "+clean(p.Name)+" in "+clean(p.Dir)+"\n")
		},
	}
}
