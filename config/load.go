package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Lookup reads one environment variable, as os.LookupEnv does.
type Lookup func(string) (string, bool)

func (l Lookup) get(name string) string {
	if l == nil {
		l = os.LookupEnv
	}
	v, _ := l(name)
	return v
}

// Sources is where Load looks. The zero value is the environment and the user's
// file, which is what the daemon goes by.
type Sources struct {
	Flags      *pflag.FlagSet // flags named by AddFlags; only those that were given count
	Env        Lookup         // nil: os.LookupEnv
	ProjectDir string         // empty: no project's file
	UserFile   string         // empty: the one in its usual place, if there is one
}

// Origin is the value of one key and where it came from.
type Origin struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Source string `json:"source"`          // flag, env, project, user or default
	Where  string `json:"where,omitempty"` // --log-level, IMGSPECD_LOG_LEVEL or file:line
	Help   string `json:"help"`
}

// Text returns the value as people read it.
func (o Origin) Text() string { return format(o.Value) }

// Origins lists every key in the order of the example file.
type Origins []Origin

// Find returns the origin of one key.
func (o Origins) Find(name string) (Origin, bool) {
	i := slices.IndexFunc(o, func(e Origin) bool { return e.Key == name })
	if i < 0 {
		return Origin{}, false
	}
	return o[i], true
}

func (o Origins) where(name string) string {
	e, _ := o.Find(name)
	return e.Where
}

// AddFlags gives fs a flag for each of the named keys, or for every key.
func AddFlags(fs *pflag.FlagSet, names ...string) {
	for _, k := range keys {
		if len(names) > 0 && !slices.Contains(names, k.name) {
			continue
		}
		switch name := flagName(k.name); k.field(&Config{}).(type) {
		case *string:
			fs.String(name, "", k.help)
		case *int:
			fs.Int(name, k.value.(int), k.help)
		case *bool:
			fs.Bool(name, k.value.(bool), k.help)
		case *[]string:
			fs.StringSlice(name, nil, k.help)
		case *map[string]string:
			fs.StringToString(name, nil, k.help)
		default: // durations, which our own conversion words better
			fs.String(name, "", k.help)
		}
	}
}

// layer is what one source sets: raw values by key.
type layer struct {
	source string
	values map[string]any
	where  map[string]string
}

// Load reads all sources and checks what comes out.
func Load(s Sources) (*Config, Origins, error) {
	layers, err := s.layers()
	if err != nil {
		return nil, nil, err
	}
	v := viper.New()
	for _, l := range layers {
		if err := v.MergeConfigMap(nest(l.values)); err != nil {
			return nil, nil, fmt.Errorf("merge settings: %w", err)
		}
	}
	for _, k := range keys {
		if s.Flags == nil {
			break
		}
		if f := s.Flags.Lookup(flagName(k.name)); f != nil && f.Changed {
			if m, err := s.Flags.GetStringToString(f.Name); err == nil && k.isTable() {
				layers[len(layers)-1].set(k.name, m, "--"+f.Name)
				continue
			}
			if err := v.BindPFlag(k.name, f); err != nil {
				return nil, nil, fmt.Errorf("bind flag --%s: %w", f.Name, err)
			}
			// Listed for its origin; its value comes through viper.
			layers[len(layers)-1].set(k.name, nil, "--"+f.Name)
		}
	}
	c := &Config{env: s.Env, from: s}
	origins, errs := make(Origins, 0, len(keys)), []error(nil)
	for _, k := range keys {
		o := originOf(k, layers)
		raw := v.Get(k.name)
		if k.isTable() {
			raw = highest(k, layers)
		}
		if s, ok := raw.(string); ok && k.path {
			raw = expand(s, c.env.get("HOME"))
		}
		if err := k.set(c, raw); err != nil {
			errs = append(errs, &ValueError{Key: k.name, Value: format(raw), Where: o.Where, Reason: err.Error()})
		}
		o.Value = k.get(c)
		origins = append(origins, o)
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	if err := errors.Join(c.check(origins), narrowed(layers)); err != nil {
		return nil, nil, err
	}
	return c, origins, nil
}

// highest returns what the highest source gives for k, a table as a whole.
func highest(k key, layers []layer) (raw any) {
	for _, l := range layers {
		if v, set := l.values[k.name]; set {
			raw = v
		}
	}
	return raw
}

// layers reads every source but the flags; the lowest comes first, and the last
// is the empty one of the flags.
func (s Sources) layers() ([]layer, error) {
	user, err := s.userLayer()
	if err != nil {
		return nil, err
	}
	project, err := s.projectLayer()
	if err != nil {
		return nil, err
	}
	env := newLayer("env")
	for _, k := range keys {
		if v := s.Env.get(envName(k.name)); v != "" {
			env.set(k.name, v, envName(k.name))
		}
	}
	defaults := newLayer("default")
	for _, k := range keys {
		defaults.set(k.name, k.value, "")
	}
	state := s.Env.stateDir()
	defaults.set("state_dir", state, "")
	layers := []layer{defaults, user, project, env, newLayer("flag")}
	// The socket's own default lies in the state directory that was chosen.
	for _, l := range layers {
		if d, ok := l.values["state_dir"].(string); ok {
			state = expand(d, s.Env.get("HOME"))
		}
	}
	if s.Flags != nil {
		if f := s.Flags.Lookup("state-dir"); f != nil && f.Changed {
			state = expand(f.Value.String(), s.Env.get("HOME"))
		}
	}
	socket := s.Env.defaultSocket(state)
	defaults.set("socket", socket, "")
	// And the second socket's is beside the one that was chosen.
	for _, l := range layers {
		if v, ok := l.values["socket"].(string); ok {
			socket = expand(v, s.Env.get("HOME"))
		}
	}
	if s.Flags != nil {
		if f := s.Flags.Lookup("socket"); f != nil && f.Changed {
			socket = expand(f.Value.String(), s.Env.get("HOME"))
		}
	}
	defaults.set("docker.socket", dockerSocket(socket), "")
	return layers, nil
}

func newLayer(source string) layer {
	return layer{source: source, values: map[string]any{}, where: map[string]string{}}
}

func (l layer) set(name string, value any, where string) {
	l.values[name], l.where[name] = value, where
}

func (s Sources) userLayer() (layer, error) {
	l := newLayer("user")
	file := s.UserFile
	if file == "" {
		if file = s.Env.UserFile(); file == "" {
			return l, nil
		}
	}
	data, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) && s.UserFile == "" {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read settings: %w", err)
	}
	return l, l.read(file, data, nil)
}

// projectLayer reads pyproject.toml's table and, over it, imgspecd.toml.
func (s Sources) projectLayer() (layer, error) {
	l := newLayer("project")
	if s.ProjectDir == "" {
		return l, nil
	}
	for _, f := range []struct {
		name   string
		prefix []string
	}{{"pyproject.toml", []string{"tool", "imgspecd"}}, {"imgspecd.toml", nil}} {
		file := filepath.Join(s.ProjectDir, f.name)
		data, err := readFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return l, fmt.Errorf("read the project's settings: %w", err)
		}
		if err := l.read(file, data, f.prefix); err != nil {
			return l, err
		}
	}
	return l, l.refuse()
}

// refuse reports the keys that are not a project's to set.
func (l layer) refuse() error {
	var errs []error
	for _, k := range keys {
		if raw, set := l.values[k.name]; set && k.refused != "" {
			errs = append(errs, &ValueError{
				Key: k.name, Value: format(raw), Where: l.where[k.name],
				Reason: "a project's file may not set it: " + k.refused,
			})
		}
	}
	return errors.Join(errs...)
}

// narrowed reports the keys that the project's file sets wider than the user does.
func narrowed(layers []layer) error {
	var errs []error
	for _, k := range keys {
		if k.widest == nil {
			continue
		}
		own, below := -1, -1
		for _, l := range layers {
			raw, set := l.values[k.name]
			if !set {
				continue
			}
			s, _ := raw.(string)
			switch l.source {
			case "default", "user":
				below = slices.Index(k.widest, s)
			case "project":
				own = slices.Index(k.widest, s)
			default: // a flag or a variable decides over the project
				own = -1
			}
		}
		if own >= 0 && own < below {
			p := layers[2]
			errs = append(errs, &ValueError{
				Key: k.name, Value: k.widest[own], Where: p.where[k.name],
				Reason: fmt.Sprintf("a project's file may only narrow it, and yours says %q", k.widest[below]),
			})
		}
	}
	return errors.Join(errs...)
}

// originOf returns who set k last.
func originOf(k key, layers []layer) Origin {
	o := Origin{Key: k.name, Help: k.help}
	for _, l := range layers {
		if _, set := l.values[k.name]; set {
			o.Source, o.Where = l.source, l.where[k.name]
		}
	}
	return o
}

// nest turns {"log.level": x} into {"log": {"level": x}}, which viper merges.
func nest(flat map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range flat {
		if k, _ := find(name); k.isTable() {
			continue // viper would lower its names, in place
		}
		section, rest, nested := strings.Cut(name, ".")
		if !nested {
			out[name] = v
			continue
		}
		m, ok := out[section].(map[string]any)
		if !ok {
			m = map[string]any{}
			out[section] = m
		}
		m[rest] = v
	}
	return out
}

// expand replaces a leading ~/ by the home.
func expand(p, home string) string {
	if rest, ok := strings.CutPrefix(p, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return p
}
