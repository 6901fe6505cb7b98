package wheel_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/wheel"
)

// A script is installed rewritten, so only the wheel itself can be asked whether RECORD was right about it.
func TestRecordOfARewrittenScript(t *testing.T) {
	const script, name = "#!python\nprint(1)\n", "demo-1.0.data/scripts/run"
	long := sha512.Sum384([]byte(script))
	tests := map[string]struct {
		hash string
		want *wheel.Mismatch
	}{
		"right": {hash: "sha384=" + base64.RawURLEncoding.EncodeToString(long[:])},
		"none":  {hash: ""},
		"wrong": {hash: "sha256=AAAA", want: &wheel.Mismatch{Want: "sha256=AAAA", Got: recorded(script)}},
		"weak":  {hash: "md5=AAAA", want: &wheel.Mismatch{Want: "md5=AAAA"}},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "demo-1.0-py3-none-any.whl")
			all := members(member{name: name, text: script})
			all[len(all)-1].text = name + "," + tt.hash + ",\n"
			if err := os.WriteFile(path, archive(t, all), 0o644); err != nil {
				t.Fatal(err)
			}
			w, err := wheel.Open(path, filepath.Base(path), wheel.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			files, err := w.Plan(wheel.Scheme{Prefix: "/v", SitePackages: "/v/lib/python3.11/site-packages", Scripts: "/v/bin", Headers: "/v/include", Interpreter: "/v/bin/python"}, wheel.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if f.Path != "/v/bin/run" {
					continue
				}
				if d := cmp.Diff(tt.want, f.Mismatch); d != "" {
					t.Error(d)
				}
				return
			}
			t.Error("the script is not installed")
		})
	}
}

func recorded(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:])
}
