package pypa

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Of wheels with all kinds of tags, uv installs the one that is chosen here: for every CPython of today, two
// machines, an old and a new glibc, and musl. (Free-threaded builds are compared with packaging: uv has to be
// shown one.)
func TestWheelChoiceAsUV(t *testing.T) {
	uv := os.Getenv("IMGSPECD_TEST_UV")
	if uv == "" {
		t.Skip("IMGSPECD_TEST_UV is not set")
	}
	rnd := rand.New(rand.NewPCG(13, 5))
	for minor := 9; minor <= 14; minor++ {
		for _, arch := range []string{"amd64", "arm64"} {
			for _, libc := range []Libc{{"glibc", 2, 17}, {"glibc", 2, 36}, {"musl", 1, 2}} {
				e := Environment{Python: fmt.Sprintf("3.%d.1", minor), OS: "linux", Arch: arch, Libc: libc}
				wheels := wheelsToChooseFrom(rnd, minor)
				got, want := choose(t, e, wheels), chosenByUV(t, uv, e, wheels)
				if got != want && choose(t, e, []string{got, want}) == choose(t, e, []string{want, got}) { // of equals, any
					t.Errorf("%s: chose %q, uv %q, of\n%s", e, got, want, strings.Join(wheels, "\n"))
				}
			}
		}
	}
}

// wheelsToChooseFrom are file names; most of them fit nowhere or not on every machine.
func wheelsToChooseFrom(r *rand.Rand, minor int) []string {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	seen := map[string]bool{}
	for len(seen) < 14 {
		near := fmt.Sprintf("cp3%d", minor-1+r.IntN(3))
		own := fmt.Sprintf("cp3%d", minor)
		python := pick(own, own, near, "cp37", "py3", fmt.Sprintf("py3%d", minor), "py2.py3")
		abi := pick("none", "abi3", own, near, own+"t", "abi3t")
		platform := pick("any", "linux_x86_64", "linux_aarch64") // and, more often:
		if r.IntN(4) > 0 {
			libc := pick("manylinux_2_17", "manylinux2014", "manylinux_2_28", "manylinux_2_34", "manylinux_2_36", "manylinux_2_39",
				"manylinux1", "manylinux2010", "musllinux_1_1", "musllinux_1_2", "musllinux_1_3")
			platform = libc + pick("_x86_64", "_aarch64")
			if r.IntN(4) == 0 {
				platform = "manylinux_2_17_x86_64.manylinux2014_x86_64." + platform
			}
		}
		seen["pk-1.0-"+pick("", "", "1-", "2-")+python+"-"+abi+"-"+platform+".whl"] = true
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	return names
}

// choose is the rule of installers: the best tag, and of equals the higher build tag.
func choose(t *testing.T, e Environment, wheels []string) string {
	t.Helper()
	ranks := map[Tag]int{}
	for i, tag := range e.Tags() {
		ranks[tag] = i
	}
	best, build, name := len(ranks), "", ""
	for _, w := range wheels {
		if w == "" {
			continue
		}
		n, err := ParseWheelName(w)
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range n.Tags {
			rank, ok := ranks[tag]
			if ok && (rank < best || rank == best && CompareBuild(n.Build, build) > 0) {
				best, build, name = rank, n.Build, w
			}
		}
	}
	return name
}

func chosenByUV(t *testing.T, uv string, e Environment, wheels []string) string {
	t.Helper()
	dir, target := t.TempDir(), t.TempDir()
	for _, name := range wheels {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for file, text := range map[string]string{
			"pk.txt": name, "pk-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pk\nVersion: 1.0\n",
			"pk-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "pk-1.0.dist-info/RECORD": "",
		} {
			w, err := z.Create(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[e.Arch]
	platform := fmt.Sprintf("%s-manylinux_%d_%d", machine, e.Libc.Major, e.Libc.Minor)
	if e.Libc.Kind == "musl" {
		platform = machine + "-unknown-linux-musl"
	}
	cmd := exec.CommandContext(t.Context(), uv, "pip", "install", "--quiet", "--no-cache", "--no-config", "--target", target, "--no-index", "--find-links", dir,
		"--only-binary", ":all:", "--python-version", e.Python, "--python-platform", platform, "pk")
	if out, err := cmd.CombinedOutput(); err != nil {
		if !strings.Contains(string(out), "no wheels with a matching") && !strings.Contains(string(out), "No solution found") {
			t.Fatalf("uv: %v: %s", err, out)
		}
		return ""
	}
	b, err := os.ReadFile(filepath.Join(target, "pk.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
