package resolve

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// What is taken out of a lock for its hashes leaves a lock in which no other file is.
func FuzzHashes(f *testing.F) {
	const pylock = "lock-version = \"1.0\"\ncreated-by = \"uv\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\n" +
		"wheels = [{ url = \"https://h/a.whl\", upload-time = 2024-12-04T17:35:26Z, hashes = { sha256 = \"00\" } }, { url = \"https://h/b.whl\", hashes = { sha256 = \"11\" } }]\n"
	f.Add("a==1 --hash=sha256:00", []byte(pylock))
	f.Add("--require-hashes\na @ https://h/a.whl ; python_version > '3'\t--hash sha256:11", []byte(pylock))
	f.Fuzz(func(t *testing.T, text string, lock []byte) {
		r := New(Deps{})
		o := options{}
		c, err := compose(t.TempDir(), text, &o, r.expand)
		if err != nil {
			return
		}
		p, err := r.readHashPins(&job{composed: c, options: o}, bookworm)
		if err != nil {
			return
		}
		kept, err := p.keep(lock)
		if err != nil {
			return
		}
		if len(p.of) == 0 {
			if !p.required && !bytes.Equal(kept, lock) {
				t.Error("a lock was changed for nothing")
			}
			return
		}
		var doc struct {
			Packages []struct {
				Name, Version string
				Wheels        []struct{ Hashes map[string]string }
			}
		}
		if toml.Unmarshal(kept, &doc) != nil {
			return // a lock of another form, which lockfile refuses
		}
		for _, pkg := range doc.Packages {
			pin, ok := p.of[strings.ToLower(pkg.Name)]
			if !ok || pin.version != "" && !sameVersion(pin.version, pkg.Version) {
				continue
			}
			for _, w := range pkg.Wheels {
				if len(w.Hashes) == 0 {
					t.Errorf("a wheel of %s without a hash was kept", pkg.Name)
				}
			}
		}
	})
}

func FuzzProject(f *testing.F) {
	f.Add([]byte("[project]\nname = \"p\"\nversion = \"1\"\ndependencies = [\"Flytekit>1\"]\noptional-dependencies = { x = [\"y\"] }\n" +
		"[tool.uv]\nindex-strategy = \"x\"\npython = \"/evil\"\n[tool.uv.sources]\na = [{ git = \"b\" }]\n[[tool.uv.index]]\nurl = \"https://h\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		put(t, dir, map[string]string{"pyproject.toml": string(text)})
		p, err := readProject(dir + "/pyproject.toml")
		if err != nil {
			return
		}
		var doc struct {
			Tool struct{ UV map[string]any }
		}
		if err := toml.Unmarshal(p.text, &doc); err != nil {
			t.Fatalf("what uv gets cannot be read: %v\n%s", err, p.text)
		}
		for key := range doc.Tool.UV {
			if key == "python" || key == "build-backend" || key == "managed" {
				t.Errorf("uv gets %s of the project", key)
			}
		}
	})
}
