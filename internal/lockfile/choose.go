package lockfile

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// ident is which package an entry of a lock is.
type ident struct {
	name    string // normalised
	version string // empty for a source tree whose version is dynamic
}

func (p ident) title() string { return strings.TrimSpace(p.name + " " + p.version) }

// chooser picks wheels for one environment.
type chooser struct {
	env   pypa.Environment
	ranks map[pypa.Tag]int
	// buildFirst makes a higher build tag win over a better tag, as poetry has it. uv and pip look at build tags of equals only.
	buildFirst bool
}

func newChooser(env pypa.Environment) chooser {
	c := chooser{env: env, ranks: map[pypa.Tag]int{}}
	for i, t := range env.Tags() {
		c.ranks[t] = i
	}
	return c
}

// wheel returns which of a package's wheels to take, -1 where none fits: the one whose best tag ranks first, of equals the one with
// the higher build tag, then the first.
func (c chooser) wheel(p ident, filenames []string) (int, error) {
	best, bestRank, bestBuild := -1, 0, ""
	for i, filename := range filenames {
		w, err := pypa.ParseWheelName(filename)
		if err != nil {
			return -1, fmt.Errorf("package %s: %w", p.title(), err)
		}
		if err := p.checkWheel(w, filename); err != nil {
			return -1, err
		}
		rank, fits := c.rankOf(w.Tags)
		if !fits {
			continue
		}
		byTag, byBuild := bestRank-rank, pypa.CompareBuild(w.Build, bestBuild)
		if c.buildFirst && byBuild != 0 {
			byTag = byBuild
		}
		if best < 0 || byTag > 0 || byTag == 0 && byBuild > 0 {
			best, bestRank, bestBuild = i, rank, w.Build
		}
	}
	return best, nil
}

func (c chooser) rankOf(tags []pypa.Tag) (best int, fits bool) {
	for _, t := range tags {
		if r, ok := c.ranks[t]; ok && (!fits || r < best) {
			best, fits = r, true
		}
	}
	return best, fits
}

// checkWheel refuses a wheel that is of another package or version than its entry: the lock was tampered with or badly merged.
func (p ident) checkWheel(w pypa.WheelName, filename string) error {
	if pypa.NormalizeName(w.Name) != p.name {
		return fmt.Errorf("package %s has a wheel of another package: %s", p.title(), filename)
	}
	if p.version == "" || w.Version == p.version {
		return nil
	}
	want, err := pypa.ParseVersion(p.version)
	if err != nil {
		return fmt.Errorf("package %s: %w", p.name, err)
	}
	got, err := pypa.ParseVersion(w.Version)
	if err != nil {
		return fmt.Errorf("package %s: %w", p.title(), err)
	}
	if got.Compare(want) != 0 && got.Public().Compare(want) != 0 {
		return fmt.Errorf("package %s has a wheel of another version: %s", p.title(), filename)
	}
	return nil
}

// The reasons why a package has to be built, with what to do instead.
const buildRemedy = "; build a wheel of it and depend on that instead"

func (p ident) fromGit() string {
	return fmt.Sprintf("%s is locked from git and has to be built from source%s", p.title(), buildRemedy)
}

func (p ident) fromDirectory(dir string) string {
	return fmt.Sprintf("%s is the local directory %s and has to be built from source%s", p.title(), dir, buildRemedy)
}

func (p ident) fromArchive() string {
	return fmt.Sprintf("%s is locked as a source archive and has to be built%s", p.title(), buildRemedy)
}

// fromSdist is the reason where the lock has these wheels, none of which fits.
func (p ident) fromSdist(wheels []string, env pypa.Environment) string {
	if len(wheels) == 0 {
		return fmt.Sprintf("%s has no wheel, only a source distribution that has to be built%s", p.title(), buildRemedy)
	}
	return fmt.Sprintf("no wheel of %s fits %s, so its source distribution has to be built; choose a base image that a wheel fits (it has wheels for %s)",
		p.title(), env, wheelTags(wheels))
}

// nothingFits is the error where there is no source distribution either.
func (p ident) nothingFits(wheels []string, env pypa.Environment) error {
	return fmt.Errorf("no wheel of %s fits %s, and the lock has no source distribution of it (it has wheels for %s)",
		p.title(), env, wheelTags(wheels))
}

// wheelTags names what wheels are for, for messages; a few of them will do.
func wheelTags(filenames []string) string {
	const few = 4
	var out []string
	for _, name := range filenames {
		w, err := pypa.ParseWheelName(name)
		if err != nil || len(w.Tags) == 0 {
			continue
		}
		if len(out) == few {
			out = append(out, "…")
			break
		}
		out = append(out, w.Tags[0].String())
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func isWheel(filename string) bool { return strings.HasSuffix(filename, ".whl") }

// sdistEndings are those that source distributions have, or once had.
var sdistEndings = [...]string{".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.lzma", ".tbz", ".tlz", ".txz", ".tar.Z", ".tar"}

func isSdist(filename string) bool {
	return slices.ContainsFunc(sdistEndings[:], func(e string) bool { return strings.HasSuffix(filename, e) })
}

// checkFilename checks that a file name of a lock is one, and not a way to somewhere else.
func checkFilename(name string) error {
	if name == "" || name == "." || name == ".." || path.Base(name) != name || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("%q is not a file's name", name)
	}
	return nil
}
