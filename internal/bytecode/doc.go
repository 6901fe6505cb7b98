// Package bytecode compiles Python source to .pyc files as CPython's own compileall
// would, with a Python of the image's minor that the host has.
//
//	Finder.Find → which Python → Pool.Compile: source in, .pyc out
//	worker.py in a few child processes → marshalled code → canonical (marshal.go) → header
//
// The workers call the builtin compile() and nothing else: no line of what they are
// given is run or imported. The same source, path and Python give the same bytes, in
// whatever order and process. A source that does not compile, or that makes the
// compiler exceed its limits, gives no .pyc, and never an error.
package bytecode
