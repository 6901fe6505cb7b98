// Package lockfile turns a lock into the artifacts to install for one environment.
//
// ParseUV reads uv.lock, and with it says whether the file is whole: it is well-formed, has no conflict markers, is of a known
// version, and every dependency that it names is in it. Select then walks from the project along the dependencies
// that hold in the environment and picks the wheel of each package that fits best: what
// `uv sync --frozen --no-dev --no-install-project` would install there.
//
// Everything here is pure: bytes in, values out. Nothing is read from disk or from the network, nothing is resolved and nothing
// is run; what a lock does not pin is an error, never a guess.
package lockfile
