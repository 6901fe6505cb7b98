package wheel_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// From a wheel to a layer: open, plan, and one call of the layer's for each file.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "by-its-hash")
	if err := os.WriteFile(path, exampleWheel(), 0o600); err != nil {
		log.Fatal(err)
	}

	w, err := wheel.Open(path, "demo-1.0-py3-none-any.whl", wheel.DefaultLimits())
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	files, err := w.Plan(wheel.Scheme{
		Prefix:       "/root/.venv",
		SitePackages: "/root/.venv/lib/python3.12/site-packages",
		Scripts:      "/root/.venv/bin",
		Headers:      "/root/.venv/include/site/python3.12",
		Interpreter:  "/root/.venv/bin/python",
	}, wheel.Options{Requested: true})
	if err != nil {
		log.Fatal(err)
	}

	l := layer.NewWriter(io.Discard, layer.Options{
		Workers: 2,
		Parents: func(string) layer.Header { return layer.Header{Mode: 0o755, UID: 1000, GID: 1000} },
	})
	for _, f := range files {
		if err := put(l, w, f); err != nil {
			break // Close tells it too
		}
	}
	r, err := l.Close() // before the wheel's: workers still read it
	if err != nil {
		log.Fatal(err)
	}

	for _, f := range files {
		fmt.Println(f.Mode, f.Size, f.Path)
	}
	fmt.Println(r.Files, "files,", r.Installed, "bytes")
	// Output:
	// -rwxr-xr-x 292 /root/.venv/bin/demo
	// -rw-r--r-- 2 /root/.venv/lib/python3.12/site-packages/demo-1.0.dist-info/INSTALLER
	// -rw-r--r-- 46 /root/.venv/lib/python3.12/site-packages/demo-1.0.dist-info/METADATA
	// -rw-r--r-- 378 /root/.venv/lib/python3.12/site-packages/demo-1.0.dist-info/RECORD
	// -rw-r--r-- 0 /root/.venv/lib/python3.12/site-packages/demo-1.0.dist-info/REQUESTED
	// -rw-r--r-- 75 /root/.venv/lib/python3.12/site-packages/demo-1.0.dist-info/WHEEL
	// -rw-r--r-- 35 /root/.venv/lib/python3.12/site-packages/demo-1.0.dist-info/entry_points.txt
	// -rw-r--r-- 10 /root/.venv/lib/python3.12/site-packages/demo.py
	// 8 files, 838 bytes
}

func exampleWheel() []byte {
	return forge(new(testing.T), base(
		forged{name: "demo.py", data: "print('x')"},
		forged{name: "demo-1.0.dist-info/entry_points.txt", data: "[console_scripts]\ndemo = demo:main\n"},
	), nil)
}
