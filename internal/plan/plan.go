package plan

import (
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Kind says what a layer holds.
type Kind string

// The kinds, in the order in which they lie on the base.
const (
	System   Kind = "system"   // what the default builder executes for every image, as files: user, owners, CA bundle, profile
	Venv     Kind = "venv"     // the virtual environment without packages
	Replaced Kind = "replaced" // what packages take the place of is taken away
	Packages Kind = "packages" // one package, a part of a big one, or a group of small ones
	Files    Kind = "files"    // what is copied from the project: source_root and copy
)

// Plan is everything that decides an image's bytes, made before anything is built.
// Same plan, same digest.
type Plan struct {
	Name     string // the image's full name
	Platform string // linux/amd64
	Base     base.Info
	Without  []string     // diffIDs of layers of the base that the image does not have: its environment, where that is known
	Prefix   wheel.Scheme // where packages go
	Owner    Owner        // of what packages install
	Layers   []Layer      // on top of the base, lowest first; at most MaxLayers, and some of copied files
	Above    *Step        // what is executed on top of the layers; nil: nothing
	Config   Config       // what changes in the base's config
	Bytecode *Bytecode    // of packages; nil: none
	Notes    []string     // remarks for people: what differs from the default builder's image and why
	// StrictRecord refuses a wheel of which a file is not what its RECORD says. It changes no
	// byte of an image that is made, and so is in no key.
	StrictRecord bool

	dirs map[string]base.Entry // of an environment of conda's that packages go into
}

// Owner is who a file belongs to.
type Owner struct{ UID, GID int }

// Layer is one layer to be made. Key decides its bytes on every machine.
type Layer struct {
	Kind     Kind
	Key      string              // hex; equal keys mean equal bytes
	Title    string              // for people: "pandas 2.2.3", "24 packages: attrs, click, ..."
	Files    []File              // sorted by path: all of the layer, or of Kind Packages the directories its files go below
	Packages []lockfile.Artifact // of Kind Packages: sorted by name
	Part     int                 // of a big package that is split: 1..Parts; else 0
	Parts    int
}

// File is a directory, symlink or regular file that a plan writes itself.
type File struct {
	Path  string      // absolute
	Mode  fs.FileMode // type and permissions
	Owner Owner
	Link  string   // of a symlink
	Data  []byte   // of a regular file
	From  *Content // of a regular file that is copied; nil: its content is Data
	// Opaque directories hide all that the layers below hold in them.
	Opaque bool
	// Gone is what the layers below have at Path, and this one takes away.
	Gone bool
}

// Config is what changes in the base's image config.
type Config struct {
	Env           []string // the whole, in order
	User          string
	WorkingDir    string
	Shell         []string
	Entrypoint    []string // nil: the base's stays and Cmd too; empty: cleared
	SetEntrypoint bool
	Labels        map[string]string // added
}

// Input is what a plan is made from.
type Input struct {
	Spec      imagespec.Spec
	Name      string              // flytekit's image_name()
	Tag       string              // flytekit's tag
	ID        string              // flytekit's id
	Base      base.Info           // as OnPython has it
	Late      map[string]bool     // paths that were made after the homes were given to the user; they stay root's
	Flytekit  string              // whose default builder it is; empty: the newest
	Installed *Installed          // what the base has in the environment that packages go into; nil: not known, or nothing
	Copies    []imagespec.Copy    // what is copied into the image
	Refused   *imagespec.Refusal  // why that cannot be; nil: it can
	Artifacts []lockfile.Artifact // for Base.Environment(); sorted by name. Path, where set, is absolute
	Replaced  []string            // names of what Base.Runtime has installed in another version than Artifacts
	// Beside are the artifacts of the same image for its other platforms, one list each: what is alike there shall lie in
	// layers of its own, which they then share. nil: the image is for one platform.
	Beside   [][]lockfile.Artifact
	Labels   map[string]string // added to the image; must not change from build to build
	CA       []byte            // PEM bundle for a base that has none; may be nil
	Bytecode *Bytecode         // as in Plan; of the minor of Base.Python
	Notes    []string          // to be the plan's first
	// StrictRecord as in Plan.
	StrictRecord bool
}

// Installed is a base's environment that we made ourselves: nothing but these layers is in it.
type Installed struct {
	Layers []string // their diffIDs
}

// The limits on layers: engines fail past about 125.
const (
	MaxLayers      = 64  // on top of the base, without those of copied files
	MaxImageLayers = 120 // with the base's
)

// Make plans an image. The error is an *Unsupported or an *Invalid.
func Make(in Input) (*Plan, error) {
	in = in.bare()
	if err := check(in); err != nil {
		return nil, err
	}
	if InBase(in.Spec) {
		return makeEnvd(in)
	}
	p := &Plan{Name: in.Name, Platform: in.Base.Platform, Base: in.Base, Prefix: scheme(Prefix(in.Spec), in.Base.Python), StrictRecord: in.StrictRecord, Bytecode: in.Bytecode}
	if in.Installed != nil {
		p.Without = in.Installed.Layers
	}
	env, err := environment(in)
	if err != nil {
		return nil, err
	}
	t := newTree(in.Base.Files)
	t.know(in.Base.Runtime)
	user, err := t.account()
	if err != nil {
		return nil, err
	}
	venvOwner := Owner{UID: user.UID, GID: 0} // created by root, then `chown -R flytekit`
	if p.Prefix.Prefix == venvDir {
		p.Owner = venvOwner
	} // else root installs into an environment that was handed over before
	if err := t.settle(in, env, user); err != nil {
		return nil, err
	}
	p.Notes = slices.Concat(in.Notes, notes(in), t.notes)
	p.Layers = append(p.Layers, ownLayer(System, "user, owners, certificates, profile", t.layer()))
	if err := p.environment(in, t, venvOwner); err != nil {
		return nil, err
	}
	dirs := t.dirs(p.Prefix.SitePackages)
	copied, err := copyLayers(in, t, Owner{user.UID, user.GID})
	if err != nil {
		return nil, err
	}
	packages, err := p.packageLayers(in, dirs, len(copied))
	if err != nil {
		return nil, err
	}
	p.Layers = slices.Concat(p.Layers, packages, copied)
	p.Config = config(in, env)
	p.Above = p.above(in.Spec, env)
	return p, nil
}

// environment makes what packages go into: a virtual environment, or in one that is there room for what is replaced.
func (p *Plan) environment(in Input, t *tree, owner Owner) error {
	if !OnConda(in.Spec, in.Base) {
		t.makeVenv(p.Prefix, in.Base.Python, owner, HasExec(in.Spec) && !Locked(in.Spec))
		p.Layers = append(p.Layers, ownLayer(Venv, "virtual environment of Python "+in.Base.Python.Version, t.layer()))
		return nil
	}
	notes, err := t.replace(in)
	if err != nil {
		return err
	}
	p.dirs = maps.Clone(in.Base.Runtime.Dirs)
	maps.DeleteFunc(p.dirs, func(dir string, _ base.Entry) bool { _, ok := t.files[dir]; return !ok || t.files[dir].Gone })
	if len(notes) == 0 {
		return nil
	}
	p.Notes = append(p.Notes, notes...)
	p.Layers = append(p.Layers, ownLayer(Replaced, "without "+strings.Join(in.Replaced, ", "), t.layer()))
	return nil
}

// ownLayer is a layer whose files the plan holds.
func ownLayer(kind Kind, title string, files []File) Layer {
	return Layer{Kind: kind, Title: title, Files: files, Key: filesKey(kind, files)}
}
