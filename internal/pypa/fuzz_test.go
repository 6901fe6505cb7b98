package pypa

import (
	"strings"
	"testing"
)

func FuzzSpecifiers(f *testing.F) {
	for _, s := range []string{">=1.0,<2", "==1.*, !=1.5.*", "~=1.4.2", "===whatever", "", ">1!0.dev1+local"} {
		f.Add(s, "1.5.1")
	}
	f.Fuzz(func(t *testing.T, s, version string) {
		specs, err := ParseSpecifiers(s)
		if err != nil {
			return
		}
		again, err := ParseSpecifiers(specs.String())
		if err != nil {
			t.Fatalf("%q was written as %q, which cannot be read: %v", s, specs, err)
		}
		v, err := ParseVersion(version)
		if err != nil {
			return
		}
		if specs.Contains(v) != again.Contains(v) {
			t.Errorf("%q and %q differ about %s", s, specs, v)
		}
		if pin := specs.Pin(); pin != "" && strings.ContainsAny(pin, " ,*<>~") && !strings.HasPrefix(strings.TrimSpace(s), "===") {
			t.Errorf("%q pins %q", s, pin)
		}
	})
}

func FuzzNormalizeName(f *testing.F) {
	f.Add("Foo-_.Bar")
	f.Fuzz(func(t *testing.T, s string) {
		once := NormalizeName(s)
		if twice := NormalizeName(once); twice != once {
			t.Errorf("%q is normalised to %q, and that to %q", s, once, twice)
		}
	})
}
