package lockfile

import (
	"fmt"
	"strings"
)

// poetryArgs reads arguments of `poetry install`, to which flytekit adds --no-root at the end.
func poetryArgs(words []string) (Choice, error) {
	r := optionReader{tool: "poetry install", known: poetryOptions(), words: words}
	if err := r.read(); err != nil {
		return Choice{}, err
	}
	if len(r.choice.Extras) > 0 && r.choice.AllExtras {
		return Choice{}, &ArgsError{Reason: "you cannot specify explicit --extras while installing using --all-extras"}
	}
	for _, name := range []string{"--with", "--without", "--only"} {
		if r.choice.AllGroups && r.seen[name] > 0 {
			return Choice{}, &ArgsError{Reason: fmt.Sprintf("you cannot specify %s when using --all-groups", name)}
		}
	}
	return r.choice, nil
}

func poetryOptions() options {
	o := options{}
	o.names("--extras", strings.Fields, func(c *Choice) *[]string { return &c.Extras })
	o.names("--with", trimmed, func(c *Choice) *[]string { return &c.Groups })
	o.names("--without", trimmed, func(c *Choice) *[]string { return &c.NotGroups })
	o.names("--only", trimmed, func(c *Choice) *[]string { return &c.OnlyGroups })
	o.alias("--extras", "-E")
	o.flag("--all-extras", func(c *Choice) { c.AllExtras = true })
	o.flag("--all-groups", func(c *Choice) { c.AllGroups = true })
	o.flag("--no-directory", func(c *Choice) { c.NoLocal = true })
	o.flags("--no-root", "--sync", "--compile", "--quiet", "--verbose", "--no-interaction", "--no-cache", "--no-plugins", "--ansi", "--no-ansi")
	o.alias("--quiet", "-q")
	o.alias("--verbose", "-v")
	o.alias("--no-interaction", "-n")
	for name, known := range o { // the last of several counts
		known.again = true
		o[name] = known
	}
	o.refused(ArgsError{Reason: "cannot be used with --no-root, which flytekit adds"}, "--only-root")
	o.refused(ArgsError{Reason: "installs nothing", Hint: "leave it out"}, "--dry-run", "--help", "-h", "--version", "-V")
	o.refused(ArgsError{Unsupported: true, Reason: "names files that flytekit's builder does not see", Hint: "leave it out"}, "--project", "-P", "--directory", "-C")
	return o
}

// trimmed splits at commas, around which there may be spaces.
func trimmed(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// unknownGroups is poetry's own error.
func unknownGroups(missing []string) error {
	return &Error{File: pyprojectFile, Reason: "Group(s) not found: " + strings.Join(missing, ", "), Hint: "pip_extra_args name what is not there"}
}
