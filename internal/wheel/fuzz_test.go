package wheel_test

import (
	"bytes"
	"testing"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// FuzzOpen gives any bytes as a wheel. What is accepted must be written without
// leaving the environment, twice the same, and be read back by others.
func FuzzOpen(f *testing.F) {
	f.Add(forge(f, base(
		forged{name: "demo-1.0.dist-info/entry_points.txt", data: "[console_scripts]\na = b:c\n"},
		forged{name: "demo-1.0.data/scripts/s", data: "#!python\n", stored: true},
		forged{name: "demo-1.0.data/data/share/x", data: "x", mode: 0o100755},
	), nil))
	f.Add(forge(f, base(honest("demo/a.py")), nil))
	f.Add(forge(f, base(), zip64End(nil)))
	l := wheel.DefaultLimits()
	l.Installed, l.Metadata = 1<<20, 1<<18
	f.Fuzz(func(t *testing.T, data []byte) {
		var a, b bytes.Buffer
		r, err := packBytes(&a, data, filename, l, layer.Options{Parents: parents})
		if err != nil {
			return
		}
		if again, err := packBytes(&b, data, filename, l, layer.Options{Parents: parents, Workers: 3}); err != nil || again.Digest != r.Digest {
			t.Fatalf("workers: %v, %s and %s", err, r.Digest, again.Digest)
		}
		for name := range unpack(t, &a) {
			if name != "/root" && name != "/root/.venv" && !bytes.HasPrefix([]byte(name), []byte("/root/.venv/")) {
				t.Errorf("%q leaves the environment", name)
			}
		}
	})
}
