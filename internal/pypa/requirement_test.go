package pypa

import (
	"slices"
	"testing"
)

func TestParseRequirement(t *testing.T) {
	for _, c := range []struct {
		text, name, extras, versions, url, marker string
	}{
		{"a", "a", "", "", "", ""},
		{" A.b_c-d [x, Y.z]>=1,<2 ; os_name=='posix' ", "A.b_c-d", "x Y.z", ">=1,<2", "", "os_name=='posix'"},
		{"a[]==1", "a", "", "==1", "", ""},
		{"a (>=1.0)", "a", "", ">=1.0", "", ""},
		{"a===1.0+X", "a", "", "===1.0+X", "", ""},
		{"a@https://example.org/a;b.whl", "a", "", "", "https://example.org/a;b.whl", ""},
		{"a[x] @ git+https://example.org/a@1#egg=a ; python_version > '3'", "a", "x", "", "git+https://example.org/a@1#egg=a", "python_version > '3'"},
	} {
		r, err := ParseRequirement(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		extras := ""
		for i, e := range r.Extras {
			if i > 0 {
				extras += " "
			}
			extras += e
		}
		got := []string{r.Name, extras, r.Specifiers.String(), r.URL, r.Marker.String()}
		if want := []string{c.name, c.extras, c.versions, c.url, c.marker}; !slices.Equal(got, want) {
			t.Errorf("%q: is %q, want %q", c.text, got, want)
		}
	}
	for _, text := range []string{"", "[x]", "-a", "a-", "a b", "a[x", "a[x y]", "a[,]", "a (>=1", "a >= 1 2", "a @", "a @ ; os_name == 'x'", "a @ u v", "a ; ", "a ; x == 'y'", "a=1", "é"} {
		if r, err := ParseRequirement(text); err == nil {
			t.Errorf("%q is a requirement: %+v", text, r)
		}
	}
}

func TestPin(t *testing.T) {
	for text, want := range map[string]string{
		"==1.0": "1.0", "== 1.0.0+CPU": "1.0.0+cpu", "===1-odd": "1-odd", "==1.*": "", ">=1": "", "==1,==1": "", "": "", "<=1,>=1": "", "~=1.0": "",
	} {
		s, err := ParseSpecifiers(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Pin(); got != want {
			t.Errorf("%q pins %q, want %q", text, got, want)
		}
	}
}

func FuzzParseRequirement(f *testing.F) {
	f.Add("a[x,y] (>=1.0,<2) ; python_version < '3' and extra == 'z'")
	f.Add("a @ https://example.org/a;b ; os_name == 'posix'")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRequirement(text)
		if err == nil && (!IsName(r.Name) || r.URL != "" && !r.Specifiers.IsAny()) {
			t.Errorf("%q: is %+v", text, r)
		}
	})
}
