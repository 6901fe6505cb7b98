package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// depot is an archive of Debian packages that a test makes, at an address that containers reach too. It counts what it is asked.
type depot struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked map[string]int
}

// nearby is an address of this machine that containers of every engine reach, whatever their network.
func nearby(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address besides the loopback's")
	return ""
}

// open makes a server listen where containers reach it.
func open(t *testing.T, s *httptest.Server) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp4", nearby(t)+":0")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Listener.Close() // the one on the loopback
	s.Listener = l
}

// newDepot holds packages of these names, each with the one file /usr/bin/NAME, which prints NAME. What they write when they are
// installed differs every time: /var/lib/NAME.
func newDepot(t *testing.T, packages ...string) *depot {
	t.Helper()
	d := &depot{files: map[string][]byte{}, asked: map[string]int{}}
	list := ""
	for _, p := range packages {
		control := "Package: " + p + "\nVersion: 1.0\nArchitecture: all\nMaintainer: test <test@example.com>\nDescription: of a test\n"
		data := deb(t, control, "#!/bin/sh\nset -e\necho configured "+p+"\ndate +%s%N > /var/lib/"+p+"\n", map[string]string{"usr/bin/" + p: "#!/bin/sh\necho " + p + "\n"})
		sum := sha256.Sum256(data)
		d.files["/"+p+".deb"] = data
		list += control + fmt.Sprintf("Filename: ./%s.deb\nSize: %d\nSHA256: %s\n\n", p, len(data), hex.EncodeToString(sum[:]))
	}
	d.files["/Packages"] = []byte(list)
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(d.serve))
	open(t, d.Server)
	d.Start()
	t.Cleanup(d.Close)
	return d
}

func (d *depot) serve(w http.ResponseWriter, r *http.Request) {
	at := path.Clean(r.URL.Path)
	d.mu.Lock()
	d.asked[at]++
	data, ok := d.files[at]
	d.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(data)
}

// count is how often something was asked for.
func (d *depot) count(at string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[at]
}

// base is an image like from whose apt knows this archive and no other.
func (d *depot) base(t *testing.T, from string) string {
	t.Helper()
	return basedOn(t, from, map[string]string{
		"etc/apt/sources.list":                "deb [trusted=yes] " + d.URL + " ./\n",
		"etc/apt/sources.list.d/.wh..wh..opq": "",
		"etc/apt/apt.conf.d/99test":           "Acquire::Languages \"none\";\nAcquire::Retries \"0\";\n",
	})
}

// basedOn pushes an image with files on top of another. No other is like it, so BuildKit has executed nothing on it.
func basedOn(t *testing.T, from string, files map[string]string) string {
	t.Helper()
	need(t, varRegistry)
	files = maps.Clone(files)
	files["etc/test-of"] = random()
	var buf bytes.Buffer
	pack(t, &buf, files, 0o644)
	img, err := mutate.AppendLayers(pull(t, from), static.NewLayer(buf.Bytes(), types.DockerUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	ref := os.Getenv(varRegistry) + "/imgspecd-test/based-" + random() + ":1"
	push(t, ref, img)
	return ref
}

func push(t *testing.T, ref string, img v1.Image) {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	forgetRemote(t, ref)
}

// pack writes files as a tar archive, root's.
func pack(t *testing.T, w io.Writer, files map[string]string, mode int64) {
	t.Helper()
	tw := tar.NewWriter(w)
	for _, n := range slices.Sorted(maps.Keys(files)) {
		if err := tw.WriteHeader(&tar.Header{Name: n, Mode: mode, Size: int64(len(files[n])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(tw, files[n]) // Close tells
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
}

// deb is a Debian package: an ar archive of a version and two tar archives.
func deb(t *testing.T, control, postinst string, files map[string]string) []byte {
	t.Helper()
	archive := func(files map[string]string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		pack(t, z, files, 0o755)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{
		{"debian-binary", []byte("2.0\n")},
		{"control.tar.gz", archive(map[string]string{"./control": control, "./postinst": postinst})},
		{"data.tar.gz", archive(files)},
	} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.name, 0, 0, 0, 0o100644, len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// sdist makes a source distribution of version 1.0 that is built by a program of its own, and puts it up. The wheel tells which Python
// has built it, in built.txt.
func (h *house) sdist(t *testing.T, project string) {
	t.Helper()
	h.sdistOf(t, project, "", backend)
}

// sdistOf is sdist, with what building requires, as in pyproject.toml, and the program that builds.
func (h *house) sdistOf(t *testing.T, project, requires, backend string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	dir := project + "-1.0/"
	pack(t, z, map[string]string{
		dir + "PKG-INFO":       "Metadata-Version: 2.1\nName: " + project + "\nVersion: 1.0\n",
		dir + "pyproject.toml": "[build-system]\nrequires = [" + requires + "]\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n[project]\nname = \"" + project + "\"\nversion = \"1.0\"\n",
		dir + "backend.py":     strings.ReplaceAll(backend, "PROJECT", project),
	}, 0o644)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	h.wheels[project+"-1.0.tar.gz"] = b.Bytes()
}

// backend is PEP 517's, and makes the same wheel every time.
const backend = `import sys, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "PROJECT-1.0-py3-none-any.whl"
    info = "PROJECT-1.0.dist-info/"
    files = {
        "PROJECT/__init__.py": "x = 1\n",
        "PROJECT/built.txt": "%d.%d\n" % sys.version_info[:2],
        info + "METADATA": "Metadata-Version: 2.1\nName: PROJECT\nVersion: 1.0\n",
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[info + "RECORD"] = "".join("%s,,\n" % n for n in files) + info + "RECORD,,\n"
    print("building PROJECT")
    with zipfile.ZipFile(directory + "/" + name, "w") as z:
        for n, text in files.items():
            z.writestr(zipfile.ZipInfo(n, (1980, 1, 1, 0, 0, 0)), text)
    return name
`
