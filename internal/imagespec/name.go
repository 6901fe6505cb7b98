package imagespec

import (
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Options are what a name depends on besides the spec.
type Options struct {
	Dir      string   // working directory of the run: relative paths start there. Absolute
	Flytekit string   // version of flytekit; default Newest
	Machine  string   // platform.machine() of the host, e.g. x86_64 or arm64
	Builder  string   // the registered builder of highest priority; default "default". Only flytekit 1.15.1 and 1.15.2 hash it
	RunRoot  string   // project root of a pyflyte run: the source_root of a spec that sets source_copy_mode alone. May be empty
	Modules  []string // files of the modules that the run has loaded, absolute; nil: not known, which makes some names unpredictable

	// The file system; nil is the host's.
	ReadFile func(path string) ([]byte, error)        // a requirements file
	Open     func(path string) (io.ReadCloser, error) // any other file
	ReadDir  func(dir string) ([]fs.DirEntry, error)  // in directory order: unsorted
}

// Named is what flytekit calls an image.
type Named struct {
	Name   string // image_name(): [registry/]name:tag
	Tag    string
	ID     string // the image's _F_IMG_ID
	Hashed string // the text whose MD5 is the tag
	Spec   Spec   // with flytekit's checks made and its defaults filled in
	Base   *Named // of a nested spec in base_image
	Inputs []Input
	Dirs   []string // directories that were walked: a file more or less in them changes the tag. Absolute

	Copies  []Copy   // what the default builder copies into the image, in order
	Refused *Refusal // why it cannot, or is not to; nil: it can
	Missing []string // files that are to be copied and that are not there; absolute
}

// Input is a file that an image depends on.
type Input struct {
	Path   string // absolute
	Digest string // sha256, hex; empty: it is a directory
	Named  bool   // it enters the tag; else it changes only the content
	Mode   string // permissions of a file or directory that is copied into the image, octal: they enter no tag
}

// Name computes the tag, id and full name that flytekit gives the image of a spec.
// A file that is missing gives a *PythonError that holds its path and wraps fs.ErrNotExist.
func Name(s Spec, o Options) (Named, error) {
	r, err := ruleFor(o.Flytekit)
	if err != nil {
		return Named{}, err
	}
	if s, err = s.construct(r, o); err != nil {
		return Named{}, err
	}
	return s.named(r, o)
}

// ID computes the id alone. It reads no file and depends on no loaded module, so it
// tells whether two specs are one even where the tag cannot be predicted.
func ID(s Spec, o Options) (string, error) {
	r, err := ruleFor(o.Flytekit)
	if err != nil {
		return "", err
	}
	if s, err = s.construct(r, o); err != nil {
		return "", err
	}
	return hashText(s.withRunRoot(o).idText(r)), nil
}

func (s Spec) named(r rule, o Options) (Named, error) {
	s = s.withRunRoot(o)
	n := Named{Spec: s, ID: hashText(s.idText(r))}
	if err := n.makeTag(r, o); err != nil {
		return Named{}, err
	}
	n.Name = str(s.fields["name"]) + ":" + n.Tag
	if registry := s.fields["registry"]; truthy(registry) {
		n.Name = str(registry) + "/" + n.Name
	}
	return n, nil
}

// withRunRoot does what pyflyte run does to a spec before it reads its id.
func (s Spec) withRunRoot(o Options) Spec {
	mode := s.fields["source_copy_mode"]
	if o.RunRoot == "" || isNone(mode) || mode == NoCopy || !isNone(s.fields["source_root"]) {
		return s
	}
	return s.with("source_root", Str(o.RunRoot))
}

func (o Options) builder() string {
	if o.Builder == "" {
		return "default"
	}
	return o.Builder
}

// path resolves a path as the operating system would from Dir. It does not clean it: "d/../a" needs d.
func (o Options) path(p string) string {
	p = osPath(p)
	switch {
	case p == "", strings.HasPrefix(p, "/"):
		return p
	}
	return strings.TrimSuffix(o.Dir, "/") + "/" + p
}

func (o Options) readFile(path string) ([]byte, error) {
	if o.ReadFile != nil {
		return o.ReadFile(path)
	}
	return os.ReadFile(path)
}

func (o Options) open(path string) (io.ReadCloser, error) {
	if o.Open != nil {
		return o.Open(path)
	}
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which does not wait for a pipe to be written
}

// readDir lists a directory in the order in which the file system does, which Python's os.walk follows.
func (o Options) readDir(dir string) ([]fs.DirEntry, error) {
	if o.ReadDir != nil {
		return o.ReadDir(dir)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}
