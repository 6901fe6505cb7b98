package plan

import (
	"testing"

	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// What decides the bytes of .pyc files is in the key; without them the key is as ever.
func TestBytecodeIsInTheKey(t *testing.T) {
	l := Layer{Kind: Packages}
	keys := map[string]bool{}
	for _, b := range []*Bytecode{
		nil,
		{Python: bytecode.Python{Version: "3.11.2", Tag: "cpython-311"}},
		{Python: bytecode.Python{Version: "3.11.2", Tag: "cpython-311"}, All: true},
		{Python: bytecode.Python{Version: "3.11.7", Tag: "cpython-311"}},
		{Python: bytecode.Python{Version: "3.11.7", Tag: "cpython-311", Path: "/elsewhere/python3.11"}},
	} {
		keys[(&Plan{Bytecode: b}).packagesKey(l)] = true
	}
	if len(keys) != 4 {
		t.Errorf("%d keys of four outcomes", len(keys))
	}
}

func TestWhichFilesAreCompiled(t *testing.T) {
	s := wheel.Scheme{SitePackages: "/v/lib/python3.11/site-packages"}
	b := &Bytecode{Python: bytecode.Python{Tag: "cpython-311"}}
	for file, want := range map[string]string{
		"/v/lib/python3.11/site-packages/a.py":         "/v/lib/python3.11/site-packages/__pycache__/a.cpython-311.pyc",
		"/v/lib/python3.11/site-packages/p/a.b.py":     "/v/lib/python3.11/site-packages/p/__pycache__/a.b.cpython-311.pyc",
		"/v/lib/python3.11/site-packages/p/tests/a.py": "",
		"/v/lib/python3.11/site-packages/p/.py":        "",
		"/v/lib/python3.11/site-packages/p/a.pyi":      "",
		"/v/bin/a.py": "",
	} {
		got, ok := b.Cached(s, file)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", file, got, ok)
		}
	}
	if _, ok := (*Bytecode)(nil).Cached(s, "/v/lib/python3.11/site-packages/a.py"); ok {
		t.Error("compiled without bytecode")
	}
}
