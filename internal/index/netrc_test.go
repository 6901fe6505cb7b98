package index

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseNetrc(t *testing.T) {
	tests := map[string]struct {
		in   string
		want Netrc
	}{
		"empty":            {"", nil},
		"one line":         {"machine pypi.corp login u password p", Netrc{{"pypi.corp", "u", "p"}}},
		"many lines":       {"machine a\n\tlogin u\r\n\tpassword p\nmachine b login v password q\n", Netrc{{"a", "u", "p"}, {"b", "v", "q"}}},
		"default":          {"machine a login u\ndefault login anonymous password x@y", Netrc{{"a", "u", ""}, {"", "anonymous", "x@y"}}},
		"comments":         {"# machine x login y\nmachine a # here too\nlogin u password p", Netrc{{"a", "u", "p"}}},
		"# in values":      {"machine a login #u password #p#", Netrc{{"a", "#u", "#p#"}}},
		"quotes":           {`machine a login "u v" password "p\"\\ q"`, Netrc{{"a", "u v", `p"\ q`}}},
		"keyword as value": {"machine a login machine password default", Netrc{{"a", "machine", "default"}}},
		"account":          {"machine a login u account x password p", Netrc{{"a", "u", "p"}}},
		"macro":            {"machine a login u password p\nmacdef init\ncd /x\nmachine no login no\n\nmachine b login v password q", Netrc{{"a", "u", "p"}, {"b", "v", "q"}}},
		"macro at the end": {"macdef init\ncd /x", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseNetrc([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseNetrcErrors(t *testing.T) {
	for in, want := range map[string]string{
		"machine a\nlogin u\npasword c4nary": "line 3",
		"login c4nary":                       "line 1: login stands before any machine",
		"machine":                            "line 1: machine has no value",
		"\n\nmachine a password \"c4nary":    "line 3: a quote is not closed",
	} {
		_, err := ParseNetrc([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c4nary") {
			t.Errorf("%q: error %v, want %q", in, err, want)
		}
	}
}

func TestNetrcFind(t *testing.T) {
	n, err := ParseNetrc([]byte(`
machine h login first password 1
machine h login second password 2
machine h:8080 login port password 3
default login anyone password 4`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ host, name, user, want string }{
		{"h", "h", "", "first"},
		{"H", "H", "", "first"},
		{"h", "h", "second", "second"},
		{"h:8080", "h", "", "port"},
		{"h:9090", "h", "", "first"},
		{"other", "other", "", "anyone"},
		{"other", "other", "nobody", ""},
	} {
		if l, _ := n.Find(tt.host, tt.name, tt.user); l.Login != tt.want {
			t.Errorf("%s, user %q: %q, want %q", tt.host, tt.user, l.Login, tt.want)
		}
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add("machine a login u password p\ndefault login x")
	f.Add("macdef m\nx\n\nmachine \"a\\\"\" # c\nlogin #")
	f.Fuzz(func(t *testing.T, in string) {
		n, err := ParseNetrc([]byte(in))
		if err != nil && n != nil {
			t.Error("both entries and an error")
		}
		if got, most := len(n), strings.Count(in, "machine")+strings.Count(in, "default"); got > most {
			t.Errorf("%d entries of at most %d", got, most)
		}
	})
}
