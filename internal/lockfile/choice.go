package lockfile

import "fmt"

// Choice is what someone asks of a lock's own tool: which part of the project is installed, and how. The zero Choice asks for nothing.
// Names in it are normalised. Each format uses what its tool knows.
type Choice struct {
	Extras, NotExtras []string // poetry has no NotExtras
	AllExtras         bool

	Groups, NotGroups []string // added to the default ones, and taken from all
	OnlyGroups        []string // these alone, without the project's own dependencies
	AllGroups         bool
	NoDefaultGroups   bool

	Packages    []string // members of a uv workspace, instead of its root
	AllPackages bool

	// What is left out after all is chosen; the dependencies of what is left out stay.
	NotInstalled         []string
	NoWorkspace, NoLocal bool // NoLocal of poetry leaves out directories only
	// If one of these is set, only what it names is installed, and the ones above mean nothing; names alone count where there are some.
	OnlyInstalled            []string
	OnlyWorkspace, OnlyLocal bool

	// How it is installed. A setting for all packages takes the place of that of [tool.uv], names are added.
	NoBinary, NoBuild                 *bool
	NoBinaryPackages, NoBuildPackages []string
	NoEditable                        bool
	NoEditablePackages                []string
	Inexact                           bool // what an environment has besides stays
}

// ArgsError says what is wrong with arguments, or which of them cannot be gone by.
type ArgsError struct {
	Reason string
	Hint   string // what to do about it; may be empty
	// Unsupported is set where the tool would go by the arguments; else it refuses them too.
	Unsupported bool
}

func (e *ArgsError) Error() string {
	if e.Hint != "" {
		return e.Reason + "; " + e.Hint
	}
	return e.Reason
}

// ParseArgs reads the arguments that flytekit pastes behind `uv sync` for a uv.lock and `poetry install` for a poetry.lock, as a shell would hand them on.
// All errors are of type *ArgsError.
func ParseArgs(format Format, args string) (Choice, error) {
	words, err := shellWords(args)
	switch {
	case err != nil:
		return Choice{}, err
	case len(words) == 0:
		return Choice{}, nil
	case format == FormatUV:
		return uvArgs(words)
	case format == FormatPoetry:
		return poetryArgs(words)
	}
	return Choice{}, &ArgsError{Unsupported: true, Reason: fmt.Sprintf("with %s there is no tool that would take arguments", format), Hint: "leave them out"}
}
