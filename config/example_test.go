package config

import (
	"path/filepath"
	"reflect"
	"regexp"
	"testing"
)

// The example, with every setting uncommented, sets every key, to its default.
func TestExampleIsInStep(t *testing.T) {
	setting := regexp.MustCompile(`(?m)^# ([a-z_]+ = .*)$`)
	dir, env := home(t, "XDG_RUNTIME_DIR", "/run/user/1000")
	all := put(t, filepath.Join(dir, "all.toml"), setting.ReplaceAllString(Example(), "$1"))
	got, origins, err := Load(Sources{Env: env, UserFile: all})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range origins {
		if o.Source != "user" {
			t.Errorf("the example lacks %s", o.Key)
		}
	}
	want, _, err := Load(Sources{Env: env, UserFile: put(t, filepath.Join(dir, "as-is.toml"), Example())})
	if err != nil {
		t.Fatal(err)
	}
	got.env, want.env = nil, nil
	got.from, want.from = Sources{}, Sources{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example says\n%+v\nand the defaults are\n%+v", got, want)
	}
}

// Every field of Config belongs to exactly one key, and keeps what is put into it.
func TestKeysCoverConfig(t *testing.T) {
	fields := map[any]string{}
	c := &Config{}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+v.Type().Field(i).Name
			switch {
			case !v.Type().Field(i).IsExported():
			case f.Kind() == reflect.Struct:
				walk(f, name+".")
			default:
				fields[f.Addr().Interface()] = name
			}
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
	for _, k := range keys {
		p := k.field(c)
		if fields[p] == "" {
			t.Errorf("%s has no field of its own", k.name)
		}
		delete(fields, p)
	}
	for _, name := range fields {
		t.Errorf("Config.%s has no key", name)
	}
}
