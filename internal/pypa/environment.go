package pypa

import "fmt"

// Environment is what packages are chosen for: one Python on one platform.
// The base image says it (see internal/base).
type Environment struct {
	Python       string // full version of CPython: "3.11.11"
	FreeThreaded bool   // it is built without the global lock (PEP 703): python3.13t
	OS           string // "linux", "darwin": as in an OCI platform
	Arch         string // "amd64", "arm64": as in an OCI platform
	Variant      string // "v7": as in an OCI platform; empty where the architecture has but one
	Libc         Libc
}

// Libc is the C library of a Linux system, which decides what manylinux or musllinux wheels run there (PEP 600, 656).
type Libc struct {
	Kind  string // "glibc" or "musl"
	Major int
	Minor int
}

// PythonMinor returns the two numbers that decide what is compatible with what: 3 and 11.
func (e Environment) PythonMinor() (major, minor int, err error) {
	v, err := ParseVersion(e.Python)
	if err != nil {
		return 0, 0, fmt.Errorf("read the version of Python: %w", err)
	}
	if len(v.release) < 2 || v.release[0] != 3 || v.release[1] > 99 {
		return 0, 0, fmt.Errorf("read the version of Python: %q is not a version of Python 3", e.Python)
	}
	return int(v.release[0]), int(v.release[1]), nil
}

// Markers returns the variables of PEP 508 as uv sees them in a container of this environment: versions without the
// part that makes them pre-releases. platform_release and platform_version are not there, because they are those of the kernel
// that the container will run on; Marker.Decide says when one of them matters.
func (e Environment) Markers() map[string]string {
	m := map[string]string{
		"implementation_name":            "cpython",
		"os_name":                        "posix",
		"platform_machine":               e.machine(),
		"platform_python_implementation": "CPython",
		"platform_system":                "Linux",
		"sys_platform":                   e.OS,
	}
	switch e.OS {
	case "darwin":
		m["platform_system"] = "Darwin"
	case "windows":
		m["os_name"], m["platform_system"], m["sys_platform"] = "nt", "Windows", "win32"
	}
	if v, err := ParseVersion(e.Python); err == nil {
		full := v.Release()
		m["python_full_version"], m["implementation_version"] = full.String(), full.String()
		m["python_version"] = fmt.Sprintf("%d.%d", at(full.release, 0), at(full.release, 1))
	}
	return m
}

// String names the environment in messages: "CPython 3.11.11 on linux/amd64 (glibc 2.36)".
func (e Environment) String() string {
	s := "CPython " + e.Python
	if e.FreeThreaded {
		s += " (free-threaded)"
	}
	s += " on " + e.OS + "/" + e.Arch
	if e.Variant != "" {
		s += "/" + e.Variant
	}
	if e.Libc.Kind != "" {
		s += fmt.Sprintf(" (%s %d.%d)", e.Libc.Kind, e.Libc.Major, e.Libc.Minor)
	}
	return s
}
