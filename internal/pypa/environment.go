package pypa

// Environment is what packages are chosen for: one Python on one platform.
// The base image says it (see internal/base).
type Environment struct {
	Python string // full version of CPython: "3.11.11"
	OS     string // "linux", "darwin": as in an OCI platform
	Arch   string // "amd64", "arm64": as in an OCI platform
	Libc   Libc
}

// Libc is the C library of a Linux system, which decides what manylinux or musllinux wheels run there (PEP 600, 656).
type Libc struct {
	Kind  string // "glibc" or "musl"
	Major int
	Minor int
}
