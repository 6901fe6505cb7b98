package engine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
)

// Spec is one image spec of a project: read, and named or told why it has no name.
type Spec struct {
	Label     string // PROJECT/SPEC once the loop has it; as read, the part after the slash
	Project   string // ID
	Dir       string // the project's
	Cwd       string // where relative paths of the spec start: the working directory of a run
	RunRoot   string // project root that a pyflyte run of its file would take
	Source    api.Source
	Fields    imagespec.Spec
	Named     imagespec.Named
	Flytekit  string
	Python    string         // the project's minor, e.g. 3.11; empty when nothing says it
	included  []string       // files that its requirements name with -r and -c
	Fresh     bool           // requirements that are not pinned are resolved anew, however young the last answer is
	Policy    Policy         // what the settings say for its project
	Err       *api.Error     // it has no name, or an input is not to be believed
	Variables []api.Variable // that the spec read
	Half      bool           // Err may be that of a file that is still being written
	Missing   bool           // Err is that a file is not there: waited for, however long
	Needs     string         // name of the nested spec's image that this one is built on; empty: none
	BaseOf    string         // label of the spec in whose base_image this one stands; empty: it stands by itself
	Listed    string         // builder that the image is left to; empty: it is built here
	Learned   string         // key of the record of the run that asked for it; empty: none has
	ByRun     bool           // the name cannot be predicted, and is that of the last run
	Unknown   bool           // ... and an input has changed since
	Mismatch  *api.Mismatch
	sources   []string // files besides Named.Inputs that the name may depend on
}

// Reading is what a project held when it was read.
type Reading struct {
	Specs      []Spec
	Unreadable []api.Unreadable
	Variables  []api.Variable
	Files      []string // whose change matters
	Dirs       []string // in which new Python files matter
	Trees      []string // in which anything new matters
	Flytekit   string
	FlytekitBy string
	Python     string
}

// changeCause says in words why a spec has another name than it had.
func changeCause(old, now Spec) string {
	before := map[string]string{}
	for _, in := range old.Named.Inputs {
		before[in.Path] = in.Digest
	}
	var changed []string
	for _, in := range now.Named.Inputs {
		if in.Named && before[in.Path] != in.Digest {
			changed = append(changed, relTo(now.Dir, in.Path))
		}
	}
	switch {
	case len(changed) > 0:
		return strings.Join(changed, ", ") + " changed"
	case old.Flytekit != now.Flytekit:
		return fmt.Sprintf("flytekit %s became %s", old.Flytekit, now.Flytekit)
	case now.Source.File == "":
		return "a run asks for it"
	case len(now.Variables) > 0:
		return fmt.Sprintf("%s:%d changed, or a variable that it reads", now.Source.File, now.Source.Line)
	default:
		return fmt.Sprintf("%s:%d changed", now.Source.File, now.Source.Line)
	}
}

// sameInputs reports whether nothing that was read for old differs in now.
func sameInputs(old, now Spec) bool {
	return slices.Equal(old.Named.Inputs, now.Named.Inputs) && old.Named.Name == now.Named.Name &&
		old.Flytekit == now.Flytekit && old.Python == now.Python
}

func relTo(dir, path string) string {
	if r, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(r, "..") {
		return r
	}
	return path
}
