package resolve

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The digests that requirements pin are those of `uv pip install`, whose own answer each case was taken from (0.13.9).
func TestHashes(t *testing.T) {
	p := newPrivate(t)
	p.password = ""
	p.wheel(t, "leaf", "1.0", "py2-none-any") // of one version, another file
	const wheel, other = "leaf-1.0-py3-none-any.whl", "leaf-1.0-py2-none-any.whl"
	p.wheels["leaf-1.0.tar.gz"] = []byte("not read")
	hash := func(file string) string { return fmt.Sprintf(" --hash=sha256:%x", sha256.Sum256(p.wheels[file])) }
	const wrong = " --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000"
	p.wheel(t, "plain", "1.0", "py3-none-any")
	flytekit := "flytekit==1.16.31" + hash("flytekit-1.16.31-py3-none-any.whl") + "\ndemo==1.0" + hash("demo-1.0-py3-none-any.whl") + "\n"
	cache := "UV_CACHE_DIR=" + t.TempDir()
	for _, tt := range []struct {
		name, lines, args string
		want              string // of the files, or of the error
	}{
		{name: "right", lines: "leaf==1.0" + hash(wheel), want: wheel},
		{name: "several", lines: "leaf==1.0" + wrong + hash(wheel), want: wheel},
		{name: "with a space", lines: "leaf==1.0 \\\n\t" + strings.Replace(hash(wheel), "=", " ", 1), want: wheel},
		{name: "capitals", lines: "Leaf===1.0 --hash=sha256:" + strings.ToUpper(hash(wheel)[len(" --hash=sha256:"):]), want: wheel},
		{name: "wrong", lines: "leaf==1.0" + wrong, want: "no file of leaf 1.0 has a hash"},
		{name: "of the source only", lines: "leaf==1.0" + hash("leaf-1.0.tar.gz"), want: "no file of leaf"},
		{name: "of another algorithm", lines: "leaf==1.0 --hash=sha512:00", want: "no file of leaf 1.0 has a hash"},
		{name: "before a marker that does not hold", lines: "leaf==1.0; python_version<'3'" + wrong + "\nplain", want: "plain-1.0"},
		{name: "after a marker that holds", lines: "leaf==1.0; python_version>='3'" + wrong, want: "no file of leaf"},
		{name: "of a range", lines: "leaf>=1,<1.1" + wrong, want: wheel},
		{name: "of two bounds", lines: "leaf==1.0,>0" + wrong, want: wheel},
		{name: "of a constraint", lines: "leaf==1.0\n-c c.txt", want: wheel},
		{name: "of an address", lines: "leaf @ " + p.URL + "/files/" + wheel + wrong, want: "no file of leaf"},
		{name: "not checked", lines: "leaf==1.0" + wrong, args: "--no-verify-hashes", want: wheel},
		{name: "required, and one is without", lines: "leaf==1.0\n" + flytekit, args: "--require-hashes", want: "leaf has no hash"},
		{name: "required in the file", lines: "--require-hashes\nleaf==1.0\n" + flytekit, want: "leaf has no hash"},
		{name: "required, and one is not pinned", lines: "leaf\n" + flytekit, args: "--require-hashes", want: "leaf has no version pinned"},
		{name: "required, and one is needed besides", lines: "flytekit==1.16.31" + hash("flytekit-1.16.31-py3-none-any.whl"), args: "--require-hashes", want: "demo"},
		{name: "required, and all are there", lines: "leaf==1.0" + hash(wheel) + "\n" + flytekit, args: "--require-hashes", want: wheel},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, map[string]string{"c.txt": "leaf==1.0" + wrong + "\n"})
			r := realUV(t, func(d *Deps) { d.Env = append(d.Env, cache) })
			req := Request{Environment: bookworm, Flytekit: "1.16.31", Requirements: []byte(tt.lines), Dir: dir, PipIndex: p.URL + "/simple", PipExtraArgs: tt.args}
			lock, _, err := r.Resolve(t.Context(), req)
			var e *Error
			if errors.As(err, &e) {
				if e.Kind != Invalid || !strings.Contains(e.Reason, tt.want) {
					t.Errorf("%v says nothing of %q", err, tt.want)
				}
				return
			}
			if err != nil || !strings.Contains(string(lock), tt.want) || strings.Contains(string(lock), other) {
				t.Errorf("error %v, lock\n%s", err, lock)
			}
			if again, _, err := r.Resolve(t.Context(), req); err != nil || string(again) != string(lock) {
				t.Errorf("error %v, the second time\n%s", err, again)
			}
		})
	}
}
