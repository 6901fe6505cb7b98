package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestIndexSettings(t *testing.T) {
	dir, env := home(t)
	for text, want := range map[string]string{
		"[index]\ndefault = \"https://i.example/simple\"\nextra = [\"http://j:8080/s\"]\nkeyring = \"subprocess\"": "",
		"[index]\ndefault = \"https://u:c4nary@i/simple\"":                                                         "put those into ~/.netrc",
		"[index]\nextra = [\"https://i\", \"https://c4nary@j\"]":                                                   "put those into ~/.netrc",
		"[index]\ndefault = \"i.example/simple\"":                                                                  "address of a package index",
		"[index]\nkeyring = \"always\"":                                                                            "one of auto, subprocess, disabled",
		"[resolve]\nenv = [\"a-b\"]":                                                                               "not the name of a variable",
		"[resolve]\nrefresh = \"1s\"":                                                                              "from 1m0s",
	} {
		_, _, err := Load(Sources{Env: env, UserFile: put(t, filepath.Join(dir, "c.toml"), text)})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c4nary")) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	project := filepath.Join(dir, "p")
	put(t, filepath.Join(project, "imgspecd.toml"), "[index]\ndefault = \"https://u:c4nary@i/simple\"")
	if _, _, err := Load(Sources{Env: env, ProjectDir: project}); err == nil || !strings.Contains(err.Error(), "may not set it") || strings.Contains(err.Error(), "c4nary") {
		t.Errorf("a project chose the index: %v", err)
	}
}
