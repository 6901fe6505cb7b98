// Package imagespec gives an image spec the name, tag and id that flytekit gives it.
//
// A Spec holds the keyword arguments of one ImageSpec(...) call as Python values, in
// the order and with the types in which the user wrote them, because flytekit hashes
// the text of a Python dict. Name takes the steps that flytekit takes: checks and
// defaults of the constructor (construct.go), the text of the dict (id.go, pyrepr.go),
// the digests that replace paths (digest.go, ignore.go), and the tag format (format.go).
// Which rule applies depends on the flytekit release (variant.go).
//
// It never guesses: what has no known rule is an *Unsupported or *Unpredictable error,
// and what flytekit refuses is a *PythonError worded as flytekit words it. It runs no
// Python; the one program it starts is git, where flytekit starts git too.
package imagespec
