package resolve

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var pinned = regexp.MustCompile(`(?m)^name = "(.*)"\nversion = "(.*)"`)

// What is installed stays where it satisfies what is asked for, as with `uv pip install`.
func TestInstalled(t *testing.T) {
	p := newPrivate(t)
	p.wheel(t, "needs", "1.0", "py3-none-any", "demo>=2")
	p.wheel(t, "leaf", "0.9", "py3-none-any")
	r := realUV(t, func(d *Deps) { d.Default = p.at("alice:c4nary@") })
	installed := []Pin{{"demo", "1.0"}, {"flytekit", "1.16.31"}, {"leaf", "0.9"}, {"other", "7"}}
	for name, tt := range map[string]struct {
		packages []string
		args     string
		want     string
	}{
		"it satisfies":               {[]string{"demo"}, "", "demo 1.0, flytekit 1.16.31"},
		"it does not":                {[]string{"demo>=2"}, "", "demo 2.0, flytekit 1.16.31, leaf 0.9"},
		"what another needs":         {[]string{"needs"}, "", "demo 2.0, flytekit 1.16.31, leaf 0.9, needs 1.0"},
		"all are to be the newest":   {[]string{"demo", "leaf"}, "-U", "demo 2.0, flytekit 1.16.31, leaf 1.0"},
		"one is to be the newest":    {[]string{"demo", "leaf"}, "-P leaf", "demo 1.0, flytekit 1.16.31, leaf 1.0"},
		"an index lacks the version": {[]string{"other2", "demo"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			req := packages(tt.packages...)
			req.Installed, req.PipExtraArgs = installed, tt.args
			lock, _, err := r.Resolve(t.Context(), req)
			if tt.want == "" {
				if err == nil {
					t.Errorf("resolved to\n%s", lock)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range pinned.FindAllStringSubmatch(string(lock), -1) {
				got = append(got, m[1]+" "+m[2])
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("resolved to %s, want %s", s, tt.want)
			}
		})
	}
	req := packages("demo")
	req.Installed, req.PipExtraArgs = installed, "--exact"
	var e *Error
	if _, _, err := r.Resolve(t.Context(), req); !errors.As(err, &e) || e.Kind != Invalid {
		t.Errorf("--exact: %v", err)
	}
}

// Another environment is another question; no environment is the one that it always was.
func TestInstalledIsInTheKey(t *testing.T) {
	r := newRig(t, nil)
	req := packages("x")
	r.resolve(req)
	args := r.noted("args")
	if strings.Contains(args, "--output-file") {
		t.Errorf("args %s", args)
	}
	for i, pins := range [][]Pin{{{"a", "1"}}, {{"a", "2"}}, {{"a", "2"}, {"b", "1"}}, {{"a", "2"}}} {
		req.Installed = pins
		r.resolve(req)
		if want := min(i+2, 4); r.runs() != want {
			t.Errorf("%v: uv ran %d times, want %d", pins, r.runs(), want)
		}
	}
	if left := r.noted("args"); !strings.Contains(left, "--output-file\n") {
		t.Errorf("args %s", left)
	}
}

func TestIndexes(t *testing.T) {
	r := newRig(t, func(d *Deps) { d.Env = []string{"PATH=/bin", "UV_INDEX=corp=https://u:c4nary@corp/simple/"} })
	dir := t.TempDir()
	put(t, dir, map[string]string{"pyproject.toml": "[project]\nname='p'\ndependencies=[]\n[[tool.uv.index]]\nurl='https://u:c4nary@own/simple'\n"})
	for want, req := range map[string]Request{
		"https://corp/simple https://pypi.org/simple":                    {},
		"https://corp/simple https://own/simple https://pypi.org/simple": {Pyproject: dir + "/pyproject.toml"},
		"https://one https://two":                                        {PipIndex: "https://u:c4nary@one/", PipExtraIndexURL: []string{"https://two"}},
		"https://links":                                                  {PipExtraArgs: "--no-index -f https://links"},
	} {
		if got := r.Indexes(req); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%v, want %s", got, want)
		}
	}
}
