package project

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzAnswer is for what discover.py prints, and what is kept of it: both come from outside.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"files": [{"file": "/p/a.py", "specs": [{"line": 3, "variable": "v", "force_push": true, "variables": ["X"], "kwargs": {"name": "n", "requirements": "uv.lock"}}],` +
		`"unreadable": [{"line": 1, "field": "env", "reason": "r"}], "deps": {"/p/a.py": "00", "/q": ""}, "env": {"A": null}}]}`))
	f.Add([]byte(`{"files": [{"file": "", "error": {"line": -1}, "specs": [{"kwargs": {"base_image": {"__imagespec__": {"requirements": "\u0000"}}}}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a answer
		if json.Unmarshal(b, &a) != nil {
			return
		}
		p := &reading{r: &Reader{}, dir: "/p", cwd: "/p", files: map[string]bool{}, vars: map[string]bool{}}
		specs := 0
		for _, file := range a.Files {
			p.take(file)
			specs += len(file.Specs)
		}
		if len(p.res.Specs)+len(p.res.Unreadable) < specs {
			t.Errorf("of %d specs nothing is said", specs)
		}
	})
}

// FuzzDeclaration is for [[tool.imgspecd.image]].
func FuzzDeclaration(f *testing.F) {
	f.Add([]byte("[project]\nrequires-python = \">3\"\n[[tool.imgspecd.image]]\nname = \"a\"\npackages = [\"x\"]\nenv.A = \"1\"\n[tool.imgspecd.image.env]\nB = 2.5\n"))
	f.Add([]byte("[tool.imgspecd.image]\nname = 1979-05-27T07:32:00Z\n[[tool.imgspecd.image.x]]\ny = { z = [0x1F, inf] }\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		d := readDeclaration(dir, "pyproject.toml", "tool", "imgspecd", "image")
		p := &reading{r: &Reader{}, dir: dir, cwd: dir, files: map[string]bool{}, vars: map[string]bool{}}
		p.declared(d)
		if d.err == nil && len(p.res.Specs)+len(p.res.Unreadable) < len(d.images) {
			t.Errorf("of %d images nothing is said", len(d.images))
		}
	})
}
