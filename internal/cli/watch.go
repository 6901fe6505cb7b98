package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgspecd/imgspecd/api"
)

func (a *app) watchCmd() *cobra.Command {
	var env []string
	cmd := &cobra.Command{
		Use:   "watch [DIR]",
		Short: "Watch a project and keep its images ready",
		Long: `Adds a project (default: this directory) to those that are watched, and says what
was found in it. It is kept over restarts. No code of the project is run.

Where specs read environment variables, the values that this shell has for those
variables, and for no others, are recorded; run it again when they have changed.
What the project's settings say ([tool.imgspecd] env) wins over the shell, and
--env over both.`,
		Example: `  imgspecd watch .
  imgspecd watch ~/src/churn-model --env REGISTRY=ghcr.io/acme`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			vars, err := pairs(env)
			if err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			dir, err := absolute(first(args))
			if err != nil {
				return err
			}
			req, err := a.recorded(cmd.Context(), d, api.AddProject{Dir: dir, Env: vars})
			if err != nil {
				return err
			}
			p, err := d.AddProject(cmd.Context(), req)
			if err != nil {
				return err
			}
			images, err := d.Images(cmd.Context())
			if err != nil {
				return err
			}
			info, err := d.Info(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(p, a.watchText(p, of(images, p.ID), info))
		},
	}
	cmd.Flags().StringArrayVar(&env, "env", nil, "an environment variable that the project's files read, as KEY=VALUE")
	return cmd
}

// pairs reads KEY=VALUE arguments.
func pairs(env []string) (map[string]string, error) {
	if len(env) == 0 {
		return nil, nil
	}
	vars := map[string]string{}
	for _, e := range env {
		k, v, ok := strings.Cut(e, "=")
		if !ok || k == "" {
			return nil, usage("--env %q: must be KEY=VALUE", e)
		}
		vars[k] = v
	}
	return vars, nil
}

// watchText says what a project holds and what will happen with it.
func (a *app) watchText(p api.Project, images []api.Image, info api.Info) string {
	var b strings.Builder
	s, v := a.out, statusView{screen: a.out, now: a.Now()}
	fmt.Fprintf(&b, "Watching %s in %s\n", s.paint(strong, clean(p.Name)), clean(p.Dir))
	if p.Flytekit != "" {
		by := ""
		if p.FlytekitBy != "" {
			by = " (from the " + clean(p.FlytekitBy) + ")"
			if p.FlytekitBy == "default" || p.FlytekitBy == "config" {
				by = " (by " + p.FlytekitBy + ")"
			}
		}
		b.WriteString(s.paint(quiet, "  named as flytekit "+clean(p.Flytekit)+" does"+by) + "\n")
	}
	for _, r := range p.Variables {
		b.WriteString(s.para("  ", quiet, clean("reads "+variableText(r))))
	}
	if p.Error != nil {
		b.WriteString(s.para("  "+s.paint(bad, s.bad)+" ", normal, clean(p.Error.Message)) + v.hint("  ", p.Error.Hint))
	}
	for _, im := range images {
		b.WriteString(a.foundText(v, im, info))
	}
	for _, u := range p.Unreadable {
		b.WriteString(s.para("  "+s.paint(warn, s.warn)+" ", normal, unreadableLine("", u)))
	}
	if n := len(p.Unreadable); n > 0 {
		b.WriteString(s.para("    ", quiet, "what cannot be read without running its code is not built"))
	}
	if len(images) == 0 && len(p.Unreadable) == 0 && p.Error == nil {
		b.WriteString(s.para("  "+s.idle+" ", normal, "no ImageSpec found yet"))
	}
	return b.String()
}

// foundText is one image of a project: what it is called, where its spec stands, where it goes.
func (a *app) foundText(v statusView, im api.Image, info api.Info) string {
	var b strings.Builder
	symbol, st := v.symbol(im.State)
	line := clean(im.Label)
	if im.Source.File != "" {
		line += v.paint(quiet, fmt.Sprintf("  %s:%d", clean(im.Source.File), im.Source.Line))
	}
	b.WriteString(v.para("  "+v.paint(st, symbol)+" ", normal, line))
	if im.Name != "" {
		b.WriteString(v.para("    ", normal, clean(im.Name)))
	}
	if im.Error != nil {
		b.WriteString(v.para("    ", normal, clean(im.Error.Message)) + v.hint("    ", im.Error.Hint))
	}
	b.WriteString(v.differs("    ", im))
	b.WriteString(v.para("    ", quiet, whereTo(im, info)))
	return b.String()
}

// whereTo says where an image will be put, and how to change that.
func whereTo(im api.Image, info api.Info) string {
	if im.Registry == "" {
		var places []string
		for _, t := range im.Targets {
			places = append(places, t.Name)
		}
		if len(places) == 0 {
			return "stays on this machine"
		}
		return "stays on this machine: " + clean(strings.Join(places, ", "))
	}
	policy := "always"
	for _, t := range info.Targets {
		if t.Name == "registry" && t.Policy != "" {
			policy = t.Policy
		}
	}
	registry := clean(im.Registry)
	switch policy {
	case "never":
		return "is not pushed to " + registry + "; change with registry.push = always|on-request"
	case "on-request":
		return "is pushed to " + registry + " on request (imgspecd build --push); change with registry.push = always|never"
	}
	return "pushes to " + registry + " on each settled save; change with registry.push = on-request|never"
}
