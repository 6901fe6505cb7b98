// Package lockfile turns what pins a project's packages into the artifacts to install for one environment.
//
// Parse reads a lock by its file's name and says whether it is whole: well-formed, without conflict markers, of a known version, and not behind
// the project where it tells. Select then gives the file of each package that the lock's own tool would install:
//
//	uv.lock       uv sync --locked --no-dev --no-install-project    walks from the project along the dependencies that hold
//	poetry.lock   poetry install --no-root                          all groups that are not optional, dev too; no extras
//	pylock.toml   an installer of PEP 751                           default groups, no extras
//
// A Choice asks for another part of the first two. ParseArgs reads it from the arguments that these programs take. Only the lock and the
// pyproject.toml beside it count: flytekit's builder copies nothing else to where it runs them, so that a uv.toml, a poetry.toml or variables of
// this machine, such as UV_NO_BINARY, decide nothing there, and nothing here.
//
// A poetry.lock names files without their URLs: there, an artifact says which index has it. requirements.txt is
// no lock: package resolve reads it.
//
// Everything here is pure: bytes in, values out. Nothing is read from disk or from the network, nothing is resolved and nothing
// is run; what a lock does not pin is an error, never a guess.
package lockfile
