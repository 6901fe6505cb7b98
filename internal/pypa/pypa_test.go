package pypa

import (
	"slices"
	"strings"
	"testing"
)

func TestNormalizeName(t *testing.T) {
	for in, want := range map[string]string{
		"flytekit": "flytekit", "Flask_SQLAlchemy": "flask-sqlalchemy", "zope.interface": "zope-interface", "a-_.b": "a-b", "ruamel.yaml.clib": "ruamel-yaml-clib",
	} {
		if got := NormalizeName(in); got != want {
			t.Errorf("NormalizeName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseWheelName(t *testing.T) {
	w, err := ParseWheelName("PyYAML-6.0.4-2b-cp311-cp311-manylinux2014_x86_64.manylinux_2_28_x86_64.whl")
	if err != nil {
		t.Fatal(err)
	}
	if w.Name != "PyYAML" || w.Version != "6.0.4" || w.Build != "2b" {
		t.Errorf("got %+v", w)
	}
	want := []Tag{{"cp311", "cp311", "manylinux2014_x86_64"}, {"cp311", "cp311", "manylinux_2_28_x86_64"}}
	if !slices.Equal(w.Tags, want) {
		t.Errorf("tags %v, want %v", w.Tags, want)
	}
	for _, bad := range []string{"", "x.tar.gz", "a-1.0-py3-none.whl", "a-1.0-x-py3-none-any.whl", "../a-1.0-py3-none-any.whl",
		"a-nope-py3-none-any.whl", "a--py3-none-any.whl", "a-1.0-1-2-py3-none-any.whl"} {
		if _, err := ParseWheelName(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestCompareBuild(t *testing.T) {
	order := []string{"", "1", "1a", "2", "10", "10b"}
	for i, a := range order {
		for j, b := range order {
			if got := CompareBuild(a, b); sign(got) != sign(i-j) {
				t.Errorf("CompareBuild(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestTagsNeverFreeThreaded(t *testing.T) {
	tags := Environment{Python: "3.13.1", OS: "linux", Arch: "amd64", Libc: Libc{"glibc", 2, 36}}.Tags()
	for _, tag := range tags {
		if strings.HasSuffix(tag.ABI, "t") {
			t.Errorf("%s is for a free-threaded Python", tag)
		}
	}
}

func TestTagsWithoutLibc(t *testing.T) {
	e := Environment{Python: "3.12.0", OS: "linux", Arch: "amd64"}
	if got := e.Tags()[0].String(); got != "cp312-cp312-linux_x86_64" {
		t.Errorf("first tag is %s", got)
	}
	if e.Python = "banana"; e.Tags() != nil {
		t.Error("an unreadable Python has tags")
	}
}

// uv writes these; the extras of packages pose as extras of the marker.
func TestConflictMarkers(t *testing.T) {
	m, err := ParseMarker("(sys_platform == 'linux' and extra == 'extra-4-proj-cpu') or (extra != 'group-4-proj-gpu' and extra == 'extra-4-proj-x')")
	if err != nil {
		t.Fatal(err)
	}
	env := Environment{Python: "3.12.1", OS: "linux", Arch: "arm64"}.Markers()
	for _, c := range []struct {
		extras []string
		want   bool
	}{
		{nil, false}, {[]string{"extra-4-proj-cpu"}, true}, {[]string{"extra-4-proj-x"}, true}, {[]string{"extra-4-proj-x", "group-4-proj-gpu"}, false},
	} {
		if got := m.Eval(env, c.extras...); got != c.want {
			t.Errorf("with %v: %t", c.extras, got)
		}
	}
}

func TestContainersOfPEP751(t *testing.T) {
	m, err := ParseMarker("'gpu' in extras and 'dev' not in dependency_groups")
	if err != nil {
		t.Fatal(err)
	}
	if !m.Eval(map[string]string{"dependency_groups": "test, docs"}, "GPU") {
		t.Error("it does not hold")
	}
	if m.Eval(map[string]string{"dependency_groups": "docs,dev"}, "gpu") {
		t.Error("it holds although dev is a group")
	}
}

func TestMarkerThatOnlyTheKernelDecides(t *testing.T) {
	env := Environment{Python: "3.12.1", OS: "linux", Arch: "amd64"}.Markers()
	m, err := ParseMarker("platform_release >= '6' and sys_platform == 'linux'")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Decide(env); err == nil || !strings.Contains(err.Error(), "platform_release") {
		t.Errorf("error is %v", err)
	}
	if m, err = ParseMarker("platform_release >= '6' and sys_platform == 'win32'"); err != nil {
		t.Fatal(err)
	}
	if ok, err := m.Decide(env); ok || err != nil {
		t.Errorf("a part that is known decides, got %t, %v", ok, err)
	}
}

func TestMarkerErrors(t *testing.T) {
	for _, s := range []string{"", "python_version", "python_version >=", "python_version >= '3.8", "(os_name == 'a'", "os_name == 'a')", "nope == 'a'",
		"os_name ~= 'a'", "os_name == 'a' and", "python_version >= 'x'", "os_name not 'a'", "extra < 'a'", "extra == extra",
		strings.Repeat("(", 200) + "os_name == 'a'" + strings.Repeat(")", 200)} {
		if m, err := ParseMarker(s); err == nil {
			t.Errorf("%q was accepted as %v", s, m)
		}
	}
}

func TestMarkersOfAPrerelease(t *testing.T) {
	env := Environment{Python: "3.14.0rc2", OS: "linux", Arch: "amd64"}.Markers()
	m, err := ParseMarker("python_full_version >= '3.14' and python_version == '3.14'")
	if err != nil {
		t.Fatal(err)
	}
	if !m.Eval(env) {
		t.Error("a pre-release of 3.14 is not taken for 3.14, as uv takes it")
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.0", "1!2.0.a1.post2.dev3+x.1", "v1-1", "1.0+00000000000000000000000000001", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		again, err := ParseVersion(v.String())
		if err != nil || again.Compare(v) != 0 || again.String() != v.String() {
			t.Errorf("%q reads as %s, which reads as %s, %v", s, v, again, err)
		}
		if spec, err := ParseSpecifiers("==" + s); err == nil && !spec.Contains(v) {
			t.Errorf("==%s does not contain itself", s)
		}
	})
}

func FuzzMarker(f *testing.F) {
	for _, s := range []string{"python_version >= '3.8'", "(os_name == 'a' or extra == \"b\") and 'x' not in sys_platform", "python_version in '3.8 3.9'", "((", "'a' in extras"} {
		f.Add(s)
	}
	env := Environment{Python: "3.12.1", OS: "linux", Arch: "amd64"}.Markers()
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMarker(s)
		if err != nil {
			return
		}
		ok, err := m.Decide(env, "b")
		if held := m.Eval(env, "b"); held != (ok && err == nil) {
			t.Errorf("%q: Eval %t, Decide %t, %v", s, held, ok, err)
		}
	})
}

func FuzzWheelName(f *testing.F) {
	for _, s := range []string{"a-1.0-py3-none-any.whl", "a_b-1.0+cpu-3x-cp311.cp312-abi3.none-manylinux_2_17_x86_64.linux_x86_64.whl", "-----.whl"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWheelName(s)
		if err != nil {
			return
		}
		if w.Name == "" || len(w.Tags) == 0 || strings.ContainsAny(s, "/\\") {
			t.Errorf("%q reads as %+v", s, w)
		}
	})
}
