// Package base finds base images and says what is in them.
//
//	reference -> registry, OCI layout or local Docker -> one manifest, pinned by digest
//	-> its layers read once, lowest first, into a merged tree of names (merge.go, tree.go)
//	-> Info: Python, C library, accounts, environment (info.go); kept by digest
//
// Reading needs every byte of the layers once, so what a registry sends is kept as
// blobs on the way: a target that needs them later has them.
//
// It never unpacks a base, and never runs anything in it. What it cannot tell by
// reading, it does not guess.
package base

import (
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// Base is a base image, pinned: Image is lazy, and its layers stay where they
// are until a target needs their bytes.
type Base struct {
	Image v1.Image
	Info  Info
}

// Info is what is in a base image, as far as a plan needs it. It is kept by digest as JSON.
type Info struct {
	Ref        string // as asked for
	From       string // where it was found: "registry", "layout" or "docker"
	Digest     string // of the platform's manifest
	Platform   string // "linux/amd64"
	Layers     int
	DiffIDs    []string // of the layers
	Python     *Python  // nil: no Python on PATH
	Pythons    []Python // every CPython below a directory named bin, on PATH or not, by Link
	Runtime    *Runtime // what is in /opt/micromamba/envs/runtime, if Python lies there; else nil
	Site       *Runtime // what is among the packages of Python itself, if installers may add to them; else nil
	Libc       pypa.Libc
	Env        []string // of the config, in order
	User       string
	Shell      []string // that a Dockerfile's RUN executes lines by; empty: /bin/sh -c
	Cmd        []string
	Entrypoint []string
	WorkingDir string
	HasCA      bool // /etc/ssl/certs/ca-certificates.crt is there
	// Files are the entries that a builder must know to write over them, by absolute path: account files
	// (/etc/passwd, group, shadow, gshadow, subuid, subgid, login.defs, default/useradd), all of /etc/skel,
	// all of /root, /home and /opt/micromamba, and the directories above these; but nothing below /root/.venv
	// and /opt/micromamba/envs/runtime, two environments of which it is only told that they are there.
	Files map[string]Entry
}

// Python is the interpreter that the image's PATH finds.
type Python struct {
	Path    string // real path, symlinks resolved: /usr/local/bin/python3.11
	Link    string // as found on PATH: /usr/local/bin/python3
	Version string // full: 3.11.11
	// FreeThreaded: it is a build without the global lock (PEP 703), which has packages and directories of its own.
	FreeThreaded bool `json:",omitempty"`
}

// Entry is one file of the base's merged file system. Type and permissions are in Mode;
// Content is that of regular files.
type Entry struct {
	Mode     fs.FileMode
	UID, GID int
	Link     string // target, of a symlink
	Content  []byte
}

// Environment returns what packages for this base are chosen for. It panics if Python is nil.
func (i Info) Environment() pypa.Environment {
	os, arch, variant := splitPlatform(i.Platform)
	return pypa.Environment{Python: i.Python.Version, FreeThreaded: i.Python.FreeThreaded, OS: os, Arch: arch, Variant: variant, Libc: i.Libc}
}
