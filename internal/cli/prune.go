package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

func (a *app) pruneCmd() *cobra.Command {
	var req api.Prune
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove from disk what no watched image needs",
		Long: `Removes from the state directory what no image under watch needs: names of older
images, their layers, and downloads. It waits until no build runs. What is in
Docker or a registry stays there. It asks the daemon, which knows what is watched.`,
		Example: "  imgspecd prune --dry-run",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			p, err := d.Prune(cmd.Context(), req)
			if err != nil {
				return err
			}
			return a.print(p, prunedText(p))
		},
	}
	cmd.Flags().BoolVar(&req.DryRun, "dry-run", false, "only say what would go")
	return cmd
}

func prunedText(p api.Pruned) string {
	var b strings.Builder
	for _, f := range p.Freed {
		fmt.Fprintf(&b, "%s %6d %10s\n", pad(clean(f.Kind), 10), f.Count, size(f.Size))
	}
	verb := "Freed "
	if p.DryRun {
		verb = "Would free "
	}
	return b.String() + verb + size(p.Size) + "\n"
}

func (a *app) showDisk(ctx context.Context, d Daemon) error {
	disk, err := d.Disk(ctx)
	if err != nil {
		return err
	}
	var b strings.Builder
	var all, current int64
	fmt.Fprintf(&b, "%s  %6s %10s %10s\n", pad("KIND", 10), "COUNT", "SIZE", "CURRENT")
	for _, k := range disk.Kinds {
		all, current = all+k.Size, current+k.CurrentSize
		fmt.Fprintf(&b, "%s  %6d %10s %10s\n", pad(clean(k.Kind), 10), k.Count, size(k.Size), size(k.CurrentSize))
	}
	fmt.Fprintf(&b, "%s  %6s %10s %10s\n", pad("all", 10), "", size(all), size(current))
	return a.print(disk, b.String())
}
