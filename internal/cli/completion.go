package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) completionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a completion script for a shell",
		Long:  "Prints a completion script. It completes commands, flags, images and projects.",
		Example: `  source <(imgspecd completion bash)
  imgspecd completion zsh > "${fpath[1]}/_imgspecd"
  imgspecd completion fish > ~/.config/fish/completions/imgspecd.fish`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      exactly(1, "the name of a shell: bash, zsh, fish or powershell"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(a.Stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(a.Stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(a.Stdout, true)
			case "powershell":
				return cmd.Root().GenPowerShellCompletionWithDesc(a.Stdout)
			}
			return usage("no completion for %q; there is one for bash, zsh, fish and powershell", args[0])
		},
	}
}

// completionWait bounds what a press of the tab key may take.
const completionWait = 500 * time.Millisecond

// completeImages offers the labels of images; directories where there are none.
func (a *app) completeImages(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, args, func(ctx context.Context, d Daemon) ([]string, error) {
		images, err := d.Images(ctx)
		var out []string
		for _, im := range images {
			out = append(out, clean(im.Label)+"\t"+string(im.State)+" "+clean(im.Name))
		}
		return out, err
	})
}

// completeProjects offers the names of watched projects.
func (a *app) completeProjects(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, args, func(ctx context.Context, d Daemon) ([]string, error) {
		projects, err := d.Projects(ctx)
		var out []string
		for _, p := range projects {
			out = append(out, clean(p.Name)+"\t"+clean(p.Dir))
		}
		return out, err
	})
}

func (a *app) complete(cmd *cobra.Command, args []string, ask func(context.Context, Daemon) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	d, err := a.daemon()
	if err != nil {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionWait)
	defer cancel()
	out, err := ask(ctx, d)
	if err != nil || len(out) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return out, cobra.ShellCompDirectiveDefault
}
