package cli

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imgspecd/imgspecd/config"
)

// everywhere are the keys that every command needs: how to reach the daemon.
var everywhere = []string{"socket", "state_dir"}

// configFlags gives every command the flags that say where the daemon is.
func (a *app) configFlags(f *pflag.FlagSet) {
	config.AddFlags(f, everywhere...)
	a.flags = f
}

// allFlags gives one command a flag for every other key.
func allFlags(f *pflag.FlagSet) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(all)
	known := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(known, everywhere...)
	all.VisitAll(func(fl *pflag.Flag) {
		if known.Lookup(fl.Name) == nil {
			f.AddFlag(fl)
		}
	})
}

// config loads the settings: with a project's file if dir names one.
func (a *app) config(dir string) (*config.Config, config.Origins, error) {
	c, o, err := config.Load(config.Sources{Flags: a.flags, ProjectDir: dir, Env: func(name string) (string, bool) {
		v := a.Getenv(name)
		return v, v != ""
	}})
	if err != nil {
		return nil, nil, &usageError{err.Error()}
	}
	return c, o, nil
}

func (a *app) configCmd() *cobra.Command {
	var dir string
	var example bool
	cmd := &cobra.Command{
		Use:   "config [KEY]",
		Short: "Show each setting and where it came from",
		Long: `Shows each setting and where it came from: flag > IMGSPECD_* > project file >
user file > default. With a KEY it prints that value alone. --example prints a
settings file that explains every key, to start one's own from.`,
		Example: `  imgspecd config
  imgspecd config --example > ~/.config/imgspecd/config.toml
  IMGSPECD_REGISTRY_PUSH=never imgspecd config registry.push`,
		Args: atMost(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			_, origins, err := a.config("")
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var keys []string
			for _, o := range origins {
				keys = append(keys, o.Key+"\t"+o.Help)
			}
			return keys, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if example {
				return a.print(nil, config.Example())
			}
			a.flags = cmd.Flags()
			_, origins, err := a.config(dir)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.print(origins, a.originsText(origins))
			}
			o, ok := origins.Find(args[0])
			if !ok {
				return usage("no setting %q; imgspecd config lists them", args[0])
			}
			return a.print(o, o.Text()+"\n")
		},
	}
	cmd.Flags().BoolVar(&example, "example", false, "print a settings file that explains every key")
	cmd.Flags().StringVar(&dir, "dir", ".", "project directory whose file counts too")
	allFlags(cmd.Flags())
	return cmd
}

func (a *app) originsText(origins config.Origins) string {
	var b strings.Builder
	key, value := len("KEY"), len("VALUE")
	for _, o := range origins {
		key = max(key, len(o.Key))
		value = max(value, ansi.StringWidth(clean(o.Text())))
	}
	value = min(value, 36)
	b.WriteString(a.out.paint(quiet, pad("KEY", key)+"  "+pad("VALUE", value)+"  FROM") + "\n")
	for _, o := range origins {
		from, text := o.Source, clean(o.Text())
		if o.Where != "" {
			from = clean(o.Where)
		}
		if text == "" {
			text = a.out.idle
		}
		st := strong
		if o.Source == "default" {
			st = quiet
		}
		b.WriteString(pad(o.Key, key) + "  " + pad(text, value) + "  " + a.out.paint(st, from) + "\n")
	}
	return b.String()
}
