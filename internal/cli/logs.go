package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

// logLine is a line of a build's log as --json prints it.
type logLine struct {
	Build string `json:"build"`
	Line  string `json:"line"`
}

func (a *app) logsCmd() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [BUILD|IMAGE|DIR]",
		Short: "Print the log of a build, or of an image's last build",
		Long: `Prints the log of a build, or of the last build of an image (default: the image
of this directory). With -f it goes on until the build ends.`,
		Example: `  imgspecd logs
  imgspecd logs churn-model/train -f`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			id, err := findBuild(cmd.Context(), d, first(args))
			if err != nil {
				return err
			}
			log, err := d.Log(cmd.Context(), id, follow)
			if err != nil {
				return err
			}
			defer log.Close()
			return a.copyLog(id, log)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the build ends")
	return cmd
}

// findBuild gives the ID of the build that an argument means.
func findBuild(ctx context.Context, d Daemon, arg string) (string, error) {
	if !saysDir(arg) {
		b, err := d.Build(ctx, arg)
		if err == nil {
			return b.ID, nil
		}
		if !isNotFound(err) {
			return "", err
		}
	}
	im, err := findImage(ctx, d, arg)
	if err != nil {
		return "", err
	}
	if im.Build == "" {
		return "", &api.Error{
			Code: api.CodeNotFound, Message: im.Label + " has not been built yet", Hint: "imgspecd build " + im.Label,
		}
	}
	return im.Build, nil
}

// copyLog writes a log line by line, as it comes.
func (a *app) copyLog(id string, log io.Reader) error {
	for r := bufio.NewReaderSize(log, 64<<10); ; {
		line, err := r.ReadString('\n')
		if line != "" {
			if line[len(line)-1] == '\n' {
				line = line[:len(line)-1]
			}
			var werr error
			if a.json {
				werr = a.printLine(logLine{id, line})
			} else {
				_, werr = fmt.Fprintln(a.Stdout, plainLine(line))
			}
			if werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log of %s: %w", id, err)
		}
	}
}
