package plan

import (
	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/lockfile"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// Kind says what a layer holds.
type Kind string

// The kinds, in the order in which they lie on the base.
const (
	System   Kind = "system"   // what the default builder executes for every image, as files: user, owners, CA bundle, profile
	Venv     Kind = "venv"     // /root/.venv without packages
	Packages Kind = "packages" // one package, a part of a big one, or a group of small ones
)

// Plan is everything that decides an image's bytes, made before anything is built.
// Same plan, same digest.
type Plan struct {
	Name     string // the image's full name
	Platform string // linux/amd64
	Base     base.Info
	Prefix   wheel.Scheme // where packages go
	Layers   []Layer      // on top of the base, lowest first; at most MaxLayers
	Config   Config       // what changes in the base's config
}

// Layer is one layer to be made. Key decides its bytes on every machine.
type Layer struct {
	Kind     Kind
	Key      string              // hex; equal keys mean equal bytes
	Title    string              // for people: "pandas 2.2.3", "24 packages: attrs, click, ..."
	Packages []lockfile.Artifact // of Kind Packages: sorted by name
	Part     int                 // of a big package that is split: 1..Parts; else 0
	Parts    int
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
