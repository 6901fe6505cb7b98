// Package lockfile turns what pins a project's packages into the artifacts to install for one environment.
//
// Parse reads a lock by its file's name and says whether it is whole: well-formed, without conflict markers, of a known version, and not behind
// the project where it tells. Select then gives the file of each package that the lock's own tool would install:
//
//	uv.lock       uv sync --frozen --no-dev --no-install-project    walks from the project along the dependencies that hold
//	poetry.lock   poetry install --no-root                          all groups that are not optional, dev too; no extras
//	pylock.toml   an installer of PEP 751                           default groups, no extras
//
// A poetry.lock names files without their URLs: there, an artifact says which index has it. requirements.txt is
// no lock: package resolve reads it.
//
// Everything here is pure: bytes in, values out. Nothing is read from disk or from the network, nothing is resolved and nothing
// is run; what a lock does not pin is an error, never a guess.
package lockfile
