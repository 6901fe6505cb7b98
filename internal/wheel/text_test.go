package wheel

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func FuzzRecord(f *testing.F) {
	f.Add([]byte("a.py,sha256=x,1\n\"b,\"\"c\"\".py\",,\r\n/d.py,,3\n"))
	f.Add([]byte("a,b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := parseRecord(text)
		if err != nil {
			return
		}
		once := formatRecord(slices.Clone(rows))
		again, err := parseRecord(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		if twice := formatRecord(again); !bytes.Equal(once, twice) {
			t.Errorf("written twice:\n%q\n%q", once, twice)
		}
	})
}

func FuzzEntryPoints(f *testing.F) {
	f.Add([]byte("[console_scripts]\na = b:c.d [x, y]\n\n# note\n[gui_scripts]\n  e=f:g\n[other]\nx = y\n  z\n"))
	f.Add([]byte("[console_scripts]\npip3 = pip:main\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		scripts, err := parseScripts(text, "11")
		if err != nil {
			return
		}
		for _, s := range scripts {
			if strings.ContainsAny(s.module+s.function, " \t\r\n;()'\"#=") {
				t.Errorf("%+v would put code into a launcher", s)
			}
			if n := bytes.Count(s.launcher("/p"), []byte("\n")); n != 10 {
				t.Errorf("%+v: a launcher of %d lines", s, n)
			}
		}
	})
}

func TestEntryPoints(t *testing.T) {
	// Tried with uv 0.13.9, one by one; "" is refused.
	tests := []struct{ text, want string }{
		{"[console_scripts]\na = m:f\n", "a=m:f"},
		{"[console_scripts]\r\na = m:f\r\n", "a=m:f"},
		{"[console_scripts]\ra = m:f\r", "a=m:f"},
		{"[console_scripts]\na\u00a0=\u00a0m:f\n", "a=m:f"},
		{"[console_scripts]\n  a = m:f\n  b = m:g\n", "a=m:f b=m:g"},
		{"[other]\na = x\n  y\n[console_scripts]\nb = m:f\n", "b=m:f"},
		{"[console_scripts] x\na = m:f\n", "a=m:f"},
		{"[ console_scripts ]\na = m:f\n", "-"},
		{"[Console_Scripts]\na = m:f\n", "-"},
		{"[console_scripts]\n#a = m:f\nb = m:f\n", "b=m:f"},
		{"[console_scripts]\na b = m:f.g [x]\n", "a b=m:f.g"},
		{"[console_scripts]\na = m:f\n[gui_scripts]\na = m:g\n", "a=m:f a=m:g"},
		{"[console_scripts]\na = mé:fé\n", "a=mé:fé"},
		{"[console_scripts]\na = m-x:f\n", "a=m-x:f"},
		{"[console_scripts]\npip = a:b\npip3 = a:c\npip3.7 = a:d\npip3.x = a:e\npip4.1 = a:f\n", "pip=a:b pip3=a:c pip3.x=a:e pip4.1=a:f pip3.11=a:c"},
		{"[console_scripts]\na = m:f ; note\n", ""},
		{"[console_scripts]\na: m:f\n", ""},
		{"[console_scripts]\na = m:f\na = m:g\n", ""},
		{"[console_scripts]\na = m:f\n[console_scripts]\nb = m:g\n", ""},
		{"[console_scripts]\na =\n  m:f\n", ""},
		{"[console_scripts]\na\n", ""},
		{"[other]\nfoo\n[console_scripts]\na = m:f\n", ""},
		{"x = y\n[console_scripts]\na = m:f\n", ""},
		{"[console_scripts]\n= m:f\n", ""},
		{"[console_scripts]\na = m\n", ""},
		{"[gui_scripts]\na = m\n", ""},
		{"[console_scripts]\na = m:f = g\n", ""},
		{"[console_scripts]\na = m:f []\n", ""},
		{"\ufeff[console_scripts]\na = m:f\n", ""},
		{"[console_scripts\na = m:f\n", ""},
		{"[console_scripts]\na = \xff:f\n", ""},
	}
	for _, tt := range tests {
		scripts, err := parseScripts([]byte(tt.text), "11")
		var got []string
		for _, s := range scripts {
			got = append(got, s.name+"="+s.module+":"+s.function)
		}
		switch text := strings.Join(got, " "); {
		case (err != nil) != (tt.want == ""):
			t.Errorf("%q: error %v", tt.text, err)
		case err == nil && text != strings.TrimPrefix(tt.want, "-"):
			t.Errorf("%q: %s, want %s", tt.text, text, tt.want)
		}
	}
}

func TestShebang(t *testing.T) {
	long := "/" + strings.Repeat("x", 130) + "/python"
	for in, want := range map[string]string{
		"/root/.venv/bin/python": "#!/root/.venv/bin/python",
		"/my env/bin/python":     "#!/bin/sh\n'''exec' '/my env/bin/python' \"$0\" \"$@\"\n' '''",
		long:                     "#!/bin/sh\n'''exec' '" + long + "' \"$0\" \"$@\"\n' '''",
	} {
		if got := shebang(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
