package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

// specLimit bounds a spec given as JSON, below what the daemon takes in one request.
const specLimit = 1000 << 10

func (a *app) explainCmd() *cobra.Command {
	var spec, dir, flytekit string
	cmd := &cobra.Command{
		Use:   "explain [IMAGE|DIR]",
		Short: "Show how an image gets its name, and what it is made of",
		Long: `Shows an image's spec and where it was found, its tag and what went into it, its
packages, and its layers with sizes and which of them exist. Nothing is built.

--spec reads the keyword arguments of an ImageSpec as JSON instead: an object, or
one with a "kwargs" member. That needs no daemon.`,
		Example: `  imgspecd explain
  echo '{"name": "hello", "requirements": "uv.lock"}' | imgspecd explain --spec - --dir . --json`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			var e api.Explanation
			var err error
			switch {
			case spec != "" && len(args) > 0:
				return usage("--spec and an IMAGE exclude each other")
			case spec != "":
				e, err = a.explainSpec(cmd.Context(), spec, dir, flytekit)
			case cmd.Flags().Changed("dir"):
				return usage("--dir goes with --spec; name a watched directory as the argument instead")
			default:
				e, err = a.explainImage(cmd.Context(), first(args), flytekit)
			}
			if err != nil {
				return err
			}
			return a.print(e, a.explanationText(e))
		},
	}
	f := cmd.Flags()
	f.StringVar(&spec, "spec", "", "explain the spec in this JSON file (-: stdin)")
	f.StringVar(&dir, "dir", ".", "directory that the paths of --spec start at")
	f.StringVar(&flytekit, "flytekit", "", "flytekit version whose rules name the image; default: the project's")
	return cmd
}

func (a *app) explainImage(ctx context.Context, arg, flytekit string) (api.Explanation, error) {
	d, err := a.daemon()
	if err != nil {
		return api.Explanation{}, err
	}
	im, err := findImage(ctx, d, arg)
	if err != nil {
		return api.Explanation{}, err
	}
	return d.Explain(ctx, api.Explain{Image: im.Label, Flytekit: flytekit})
}

// explainSpec asks the daemon, which knows what layers exist; where none runs, this process does it.
func (a *app) explainSpec(ctx context.Context, file, dir, flytekit string) (api.Explanation, error) {
	raw, err := a.readSpec(file)
	if err != nil {
		return api.Explanation{}, err
	}
	if dir, err = absolute(dir); err != nil {
		return api.Explanation{}, err
	}
	req := api.Explain{Spec: raw, Dir: dir, Flytekit: flytekit}
	d, err := a.daemon()
	if err != nil {
		return api.Explanation{}, err
	}
	e, err := d.Explain(ctx, req)
	var refused *api.Error
	if a.Explain == nil || !errors.As(err, &refused) || refused.Code != api.CodeNoDaemon {
		return e, err
	}
	cfg, _, err := a.config(dir)
	if err != nil {
		return api.Explanation{}, err
	}
	return a.Explain(ctx, cfg, req)
}

// readSpec reads a spec from a file or stdin, as it is.
func (a *app) readSpec(file string) (json.RawMessage, error) {
	in := a.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("read the spec: %v", err)}
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, specLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read the spec: %w", err)
	}
	if len(raw) > specLimit {
		return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("the spec is over %s long", size(specLimit))}
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, &api.Error{
			Code: api.CodeInvalid, Message: fmt.Sprintf("the spec is not one JSON object: %v", err),
			Hint: `give ImageSpec's keyword arguments, e.g. {"name": "hello", "requirements": "uv.lock"}`,
		}
	}
	return raw, nil
}
