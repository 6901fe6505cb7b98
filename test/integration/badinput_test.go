package integration

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// small is a project that is quickly locked and built.
var small = []string{"idna==3.10", "six==1.17.0"}

// Wrong input fails with a message that says what and where; nothing is published.
func TestBadInput(t *testing.T) {
	need(t, varUV, varFlytekit, varBase, varDebian)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	hashes := regexp.MustCompile(`idna-3.10-py3-none-any.whl", hash = "sha256:[0-9a-f]{64}"`)
	tests := map[string]struct {
		base   string
		change func(*project)
		want   []string // all in the message, in any case
	}{
		"truncated lock": {
			change: func(p *project) { s := p.read("uv.lock"); p.write("uv.lock", s[:len(s)*2/3]) },
			want:   []string{"uv.lock:", "ends too early"},
		},
		"conflict markers": {
			change: func(p *project) {
				p.edit("uv.lock", "[[package]]\nname = \"idna\"", "<<<<<<< HEAD\n=======\n>>>>>>> main\n[[package]]\nname = \"idna\"")
			},
			want: []string{"uv.lock:", "conflict"},
		},
		"unknown lock version": {
			change: func(p *project) { p.edit("uv.lock", "version = 1\n", "version = 99\n") },
			want:   []string{"uv.lock", "version", "99"},
		},
		"a dependency that is not in the lock": {
			change: func(p *project) { p.edit("uv.lock", "{ name = \"idna\" }", "{ name = \"nowhere\" }") },
			want:   []string{"uv.lock", "nowhere"},
		},
		"hash mismatch": {
			change: func(p *project) {
				wrong := hashes.ReplaceAllString(p.read("uv.lock"), `idna-3.10-py3-none-any.whl", hash = "sha256:`+strings.Repeat("ab", 32)+`"`)
				p.write("uv.lock", wrong)
			},
			want: []string{"idna-3.10-py3-none-any.whl", strings.Repeat("ab", 32), "files.pythonhosted.org"},
		},
		"wheel that escapes its directory": {
			change: func(p *project) { p.write("uv.lock", evilLock(t, "escapes")) },
			want:   []string{"evil-1.0-py3-none-any.whl", "../"},
		},
		"wheel that is not there": {
			change: func(p *project) {
				p.write("uv.lock", strings.Replace(evilLock(t, "gone"), "/evil-1.0-py3-none-any.whl", "/gone/evil-1.0-py3-none-any.whl", 1))
			},
			want: []string{"evil-1.0-py3-none-any.whl", "404"},
		},
		"base without Python": {
			base: os.Getenv(varDebian),
			want: []string{"debian:bookworm-slim", "Python"},
		},
		"base that is not there": {
			base: os.Getenv(varRegistry) + "/nowhere/python:3.11",
			want: []string{"/nowhere/python:3.11"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			base := tt.base
			if base == "" {
				base = os.Getenv(varBase)
			}
			d := d.in(t)
			p := newProject(t, spec{name: "bad", base: base}, small...).lock()
			good := p.read("uv.lock")
			if tt.change != nil {
				tt.change(p)
			}
			label := d.watch(p.dir).Label
			img := d.settled(label, "?")
			if img.State != api.Failed || img.Error == nil {
				t.Fatalf("it is %s: %s (%v)", img.State, img.Detail, img.Error)
			}
			t.Logf("%v", img.Error)
			for _, want := range tt.want {
				if !strings.Contains(strings.ToLower(img.Error.Message), strings.ToLower(want)) {
					t.Errorf("the message is %q, without %q", img.Error.Message, want)
				}
			}
			if img.Digest != "" {
				t.Errorf("it has a digest all the same: %s", img.Digest)
			}
			// Once the input is right, it gets ready without being asked.
			if tt.base == "" {
				p.write("uv.lock", good)
				d.ready(label, img.Name)
			}
		})
	}
	checkBlobs(t, d.state)
}

// evilLock is a lock with a wheel, served to whoever asks, that wants to write outside its directory. Wheels
// are kept by hash: another text makes it another wheel.
func evilLock(t *testing.T, text string) string {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	record := ""
	for name, content := range map[string]string{
		"../../../../etc/cron.d/evil": "* * * * * root true\n",
		"evil.py":                     "x = '" + text + "'\n",
		"evil-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
		"evil-1.0.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	} {
		addToZip(t, z, name, content)
		record += fmt.Sprintf("%s,,\n", name)
	}
	addToZip(t, z, "evil-1.0.dist-info/RECORD", record+"evil-1.0.dist-info/RECORD,,\n")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const filename = "/evil-1.0-py3-none-any.whl"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != filename {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(buf.Bytes())
	}))
	t.Cleanup(srv.Close)
	sum := sha256.Sum256(buf.Bytes())
	return fmt.Sprintf(`version = 1
revision = 3
requires-python = ">=3.10"

[[package]]
name = "demo"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "evil" },
]

[package.metadata]
requires-dist = [{ name = "evil" }]

[[package]]
name = "evil"
version = "1.0"
source = { registry = "%[1]s/simple" }
wheels = [
    { url = "%[1]s%[2]s", hash = "sha256:%[3]s", size = %[4]d },
]
`, srv.URL, filename, hex.EncodeToString(sum[:]), buf.Len())
}

func addToZip(t *testing.T, z *zip.Writer, name, content string) {
	t.Helper()
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
}
