package pypa

import (
	"fmt"
	"strconv"
)

// Tag is a compatibility tag of PEP 425.
type Tag struct {
	Python   string // cp311
	ABI      string // cp311, abi3, none
	Platform string // manylinux_2_17_x86_64, any
}

// String returns the tag as file names write it.
func (t Tag) String() string { return t.Python + "-" + t.ABI + "-" + t.Platform }

// Tags returns the tags of the wheels that this environment can use, best first, in the order of uv and of
// packaging's sys_tags. Debug builds are not known. A free-threaded build (cp313t) has a stable ABI of its own (PEP 803).
// It is empty where the Python version cannot be read.
func (e Environment) Tags() []Tag {
	major, minor, err := e.PythonMinor()
	if err != nil {
		return nil
	}
	platforms := e.platforms()
	tags := make([]Tag, 0, len(platforms)*(2*minor+4)+minor+3)
	add := func(python, abi string) {
		for _, p := range platforms {
			tags = append(tags, Tag{python, abi, p})
		}
	}
	cp := func(m int) string { return "cp" + strconv.Itoa(major) + strconv.Itoa(m) }
	py := func(m int) string { return "py" + strconv.Itoa(major) + strconv.Itoa(m) }
	pyMajor := "py" + strconv.Itoa(major)

	// The interpreter's own, then the stable ABI from this minor down to that of 3.2, where it began (PEP 384).
	threads := ""
	if e.FreeThreaded {
		threads = "t"
	}
	add(cp(minor), cp(minor)+threads)
	for m := minor; m >= 2; m-- {
		add(cp(m), "abi3"+threads)
		if m == minor {
			add(cp(m), "none")
		}
	}
	// Programs and libraries that need the platform, but no ABI of Python.
	for m := minor; m >= 0; m-- {
		add(py(m), "none")
		if m == minor {
			add(pyMajor, "none")
		}
	}
	// Those that need nothing.
	tags = append(tags, Tag{cp(minor), "none", "any"})
	for m := minor; m >= 0; m-- {
		tags = append(tags, Tag{py(m), "none", "any"})
		if m == minor {
			tags = append(tags, Tag{pyMajor, "none", "any"})
		}
	}
	return tags
}

// platforms returns the platform tags, best first; none for a system that is not Linux.
func (e Environment) platforms() []string {
	arch := e.machine()
	if e.OS != "linux" || arch == "" {
		return nil
	}
	var out []string
	switch e.Libc.Kind {
	case "glibc":
		oldest, ok := oldestManylinux(arch)
		for m := e.Libc.Minor; ok && m >= oldest; m-- {
			out = append(out, fmt.Sprintf("manylinux_%d_%d_%s", e.Libc.Major, m, arch))
			if alias := manylinuxAlias(e.Libc.Major, m); alias != "" {
				out = append(out, alias+"_"+arch)
			}
		}
	case "musl":
		for m := e.Libc.Minor; m >= 0; m-- {
			out = append(out, fmt.Sprintf("musllinux_%d_%d_%s", e.Libc.Major, m, arch))
		}
	}
	return append(out, "linux_"+arch)
}

// manylinuxAlias returns the older name of a manylinux platform (PEP 600, "Legacy manylinux tags").
func manylinuxAlias(major, minor int) string {
	switch [2]int{major, minor} {
	case [2]int{2, 17}:
		return "manylinux2014"
	case [2]int{2, 12}:
		return "manylinux2010"
	case [2]int{2, 5}:
		return "manylinux1"
	}
	return ""
}

// oldestManylinux returns the minor of the oldest glibc that wheels of an architecture were ever built for.
func oldestManylinux(arch string) (int, bool) {
	switch arch {
	case "x86_64", "i686":
		return 5, true
	case "aarch64", "armv7l", "ppc64le", "s390x":
		return 17, true
	case "riscv64":
		return 31, true
	case "loongarch64":
		return 36, true
	}
	return 0, false
}

// machine returns what uname -m says on this architecture; "" for one that is not known.
func (e Environment) machine() string {
	switch e.Arch {
	case "amd64":
		if e.OS == "windows" {
			return "AMD64"
		}
		return "x86_64"
	case "arm64":
		if e.OS == "darwin" {
			return "arm64"
		}
		return "aarch64"
	case "386":
		return "i686"
	case "arm":
		if e.Variant == "v5" || e.Variant == "v6" {
			return "arm" + e.Variant + "l"
		}
		return "armv7l"
	case "loong64":
		return "loongarch64"
	case "ppc64le", "s390x", "riscv64":
		return e.Arch
	}
	return ""
}
