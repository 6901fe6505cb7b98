package imgspecd_test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/imgspecd/imgspecd"

// The floor plan: which room may import which. A room is a directory with Go
// code; one that is not in this table has no place in the house yet. Imports run
// one way, and rooms that do the work never import each other sideways: only
// engine knows them all. A change here needs its reason beside it.
var floorplan = []room{
	// What crosses the socket, and who stands on its two sides.
	{"api", nil, "the contract; standard library only, so that anyone can import it"},
	{"client", in("api"), "speaks the contract and nothing else"},
	{"config", in("api"), "values and where they came from; api says where the socket is, for both ends"},
	{"systemd", nil, "unit files"},
	{"daemon", in("api", "config", "internal/engine", "internal/store", "systemd"), "the process and its socket; the work is engine's"},
	{"internal/cli", in("api", "client", "config", "internal/service"), "a client; what runs without a daemon is passed in by cmd; service, for whether one runs is what it asks first"},
	{"cmd/imgspecd", in(anywhere), "the only wiring"},

	// Leaves: facts and formats, no behaviour that needs anyone else.
	{"internal/progress", nil, "how far a build is; anyone may report"},
	{"internal/blob", nil, "content-addressed bytes, and images read from them: where base, publish and store meet"},
	{"internal/pypa", nil, "the packaging standards as pure functions"},
	{"internal/imagespec", nil, "flytekit's names; they must not depend on how images are built"},
	{"internal/layer", in("internal/progress"), "the bytes of a layer, whatever they mean"},
	{"internal/bytecode", nil, "source in, .pyc out, by a Python of the host"},
	{"internal/inode", nil, "one fact about a file, which project and watch go by"},
	{"internal/flight", nil, "one at a time by key; whoever makes things that others may be making"},
	{"internal/watch", in("internal/inode"), "hints that files changed; it knows no projects' meaning"},

	// Readers: from files to values.
	{"internal/lockfile", in("internal/pypa"), "a lock and an environment in, pinned artifacts out"},
	{"internal/index", in("internal/pypa", "internal/progress"), "files by URL, or by name, and hash"},
	{"internal/resolve", in("internal/pypa"), "from what is not pinned to a lock, by the user's uv; neither reads what it gives nor fetches it"},
	{"internal/wheel", in("internal/pypa"), "what a wheel installs"},
	{"internal/project", in("internal/imagespec", "internal/inode", "internal/pypa", "internal/lockfile"), "which image specs a directory holds; the lock says which flytekit names them"},
	{"internal/base", in("internal/blob", "internal/flight", "internal/pypa", "internal/progress"), "what a base image holds"},

	// The pipeline.
	{"internal/plan", in("internal/base", "internal/bytecode", "internal/imagespec", "internal/layer", "internal/lockfile", "internal/pypa", "internal/wheel"),
		"pure: everything that decides an image's bytes; wheel for the scheme (where packages go), bytecode for which Python compiles"},
	{"internal/store", in("api", "internal/blob", "internal/pypa"), "records are api's own types, so that none is written twice; pypa for the names of packages, by which a prune keeps wheels"},
	{"internal/builder", in("api", "internal/base", "internal/blob", "internal/bytecode", "internal/flight", "internal/index", "internal/layer", "internal/lockfile", "internal/plan", "internal/progress",
		"internal/pypa", "internal/store", "internal/wheel"), "plan in, image out; lockfile and base for the types a plan is made of, api for the figures"},
	{"internal/teamcache", in("api", "internal/blob", "internal/publish", "internal/store"), "layers that others made: what is believed of them, and what they are given; publish has the only client of registries, so the wire is there"},
	{"internal/builder/buildkit", in("internal/blob", "internal/plan"), "what must execute: steps of a plan on images; the Docker engine is an interface here"},
	{"internal/publish", in("internal/blob", "internal/progress"), "targets; the store is an interface here"},
	{"internal/publish/docker", in("internal/blob", "internal/progress", "internal/publish"), "a heavy client in a room of its own; blob to read what it sends, and bases from it"},
	{"internal/publish/containerd", in("internal/blob", "internal/progress", "internal/publish"), "a heavy client in a room of its own"},
	{"internal/engine", in("api", "config", "internal/base", "internal/builder", "internal/builder/buildkit", "internal/bytecode", "internal/flight", "internal/imagespec", "internal/index", "internal/lockfile", "internal/plan",
		"internal/progress", "internal/project", "internal/publish", "internal/pypa", "internal/resolve", "internal/store", "internal/teamcache", "internal/watch", "internal/wheel"),
		"the only one that knows them all; it knows no HTTP, so neither daemon nor client"},

	{"internal/dockerapi", in("api", "internal/publish"), "another protocol at another door, so neither daemon's nor engine's; publish for what registries answer, the engine and Docker are handed in"},
	{"internal/service", in("api", "systemd"), "has the user's service manager run the daemon; paths are handed in"},
	{"internal/doctor", in("api", "internal/builder/buildkit", "internal/publish", "internal/publish/docker"),
		"what a machine has of what builds need; the back ends for what they say of themselves. The daemon and the command line are handed its answer"},

	// Outside the house: they come through the front door.
	{"test/integration", in("api", "client"), "the binary as users have it"},
	{"bench", in("api", "client"), "the binary as users have it"},
	{".", nil, "this test"},
}

// environmentReaders may read environment variables; everyone else is told.
var environmentReaders = map[string]string{
	"config":           "its trade",
	"cmd/imgspecd":     "hands it on",
	"client":           "its zero value finds the daemon's socket",
	"test/integration": "learns which engines the machine has",
	"bench":            "learns which engines the machine has",
}

// lineBudget is the length past which a file is likely to hold two rooms. A remark, not a failure.
const lineBudget = 400

type room struct {
	dir     string
	imports []string
	why     string
}

const anywhere = "*"

func in(rooms ...string) []string { return rooms }

func TestFloorplan(t *testing.T) {
	plan := make(map[string]room)
	for _, r := range floorplan {
		if r.why == "" {
			t.Errorf("%s has no reason", r.dir)
		}
		plan[r.dir] = r
	}
	fset := token.NewFileSet()
	for dir, files := range goFiles(t) {
		r, ok := plan[dir]
		if !ok {
			t.Errorf("%s is not on the floor plan: give it a line in floorplan_test.go, with its imports and the reason", dir)
			continue
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(src, []byte("\n")); n > lineBudget && !generated(src) {
				t.Logf("%s has %d lines: is there a second room inside?", name, n)
			}
			if strings.HasSuffix(name, "_test.go") {
				continue // a test may set up what its room is used with
			}
			file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
			if err != nil {
				t.Error(err)
				continue
			}
			checkImports(t, fset, file, r)
			if _, ok := environmentReaders[dir]; !ok {
				checkEnvironment(t, fset, file)
			}
		}
	}
}

func checkImports(t *testing.T, fset *token.FileSet, file *ast.File, r room) {
	t.Helper()
	if slices.Contains(r.imports, anywhere) {
		return
	}
	for _, imp := range file.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		ours, ok := strings.CutPrefix(p, module+"/")
		if !ok || ours == r.dir || slices.Contains(r.imports, ours) {
			continue
		}
		t.Errorf("%s: %s must not import %s; it may import %q (%s)", fset.Position(imp.Pos()), r.dir, ours, r.imports, r.why)
	}
}

// checkEnvironment reports reads of environment variables: a value that can come
// from outside has one place where it is read, checked and explained.
func checkEnvironment(t *testing.T, fset *token.FileSet, file *ast.File) {
	t.Helper()
	readers := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "UserHomeDir", "UserConfigDir", "UserCacheDir"}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if ok && pkg.Name == "os" && slices.Contains(readers, sel.Sel.Name) {
			t.Errorf("%s: os.%s outside config and cmd: have the value passed in", fset.Position(sel.Pos()), sel.Sel.Name)
		}
		return true
	})
}

// goFiles returns the module's Go files by room. Reading the directory here, rather
// than asking `go list`, makes it an input that the test cache knows of.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(base, ".go") {
			dir := path.Dir(filepath.ToSlash(name))
			found[dir] = append(found[dir], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func generated(src []byte) bool {
	line, _ := bufio.NewReader(bytes.NewReader(src)).ReadString('\n')
	return strings.HasPrefix(line, "// Code generated ")
}
