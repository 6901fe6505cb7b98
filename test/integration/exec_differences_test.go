package integration

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayDiffer is all that may differ between an image of ours and the default builder's. What begins with "doc:" are words of
// docs/differences.md, up to a semicolon.
var mayDiffer = slices.Concat(ofDebian, []difference{
	{path: "etc/passwd-", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "etc/group-", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "etc/shadow-", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "etc/gshadow-", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "etc/subuid-", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "etc/subgid-", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "etc/.pwd.lock", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "var/mail/flytekit", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "var/spool/mail/flytekit", why: "doc: no `/etc/passwd-` and other copies, no mail spool"},
	{path: "etc/shadow", only: "content", why: "doc: the password's day is 1980-01-01"},
	{path: "etc/ssl/certs/ca-certificates.crt", only: "content", why: "doc: a base's own CA bundle stays"},
	{path: "root/.venv/pyvenv.cfg", only: "content", why: "doc: `pyvenv.cfg` names no uv and no prompt"},
	{path: "root/.venv/bin/activate*", why: "doc: activation scripts for Unix shells only"},
	{path: "root/.venv/bin/*.bat", why: "doc: activation scripts for Unix shells only"},
	{path: "root/.venv/.lock", why: "doc: no lock files of uv"},
	{path: "opt/micromamba/envs/runtime/.lock", why: "doc: no lock files of uv"},
	{path: "tmp/uv-*.lock", why: "doc: no lock files of uv"},
	{path: "root/.local", why: "doc: no lock files of uv"},
	{path: "root/.local/", why: "doc: no lock files of uv"},
	{path: "__pycache__", why: "doc: `bytecode` decides whether and which"},
	{path: "*.pyc", why: "doc: `bytecode` decides whether and which"},
	{path: "opt/micromamba/envs/runtime/pyvenv.cfg", why: "doc: the Python is the base's own where there is one; what stands for micromamba's is a venv too"},
	{path: "opt/micromamba/envs/runtime/bin/activate*", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/bin/Activate.ps1", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/bin/deactivate*", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/bin/pydoc.bat", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/bin/python*", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/.gitignore", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/CACHEDIR.TAG", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/include", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/include/", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/lib64", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/envs/runtime/lib/python3.11/site-packages/pip*", why: "doc: the Python is the base's own where there is one; conda's brings pip, what stands for it here does not"},
	{path: "opt/micromamba/envs/runtime/lib/python3.11/site-packages/pip*/", why: "likewise"},
})

// noEnvironment is what else may differ with a lock.
var noEnvironment = []difference{
	{path: "opt/micromamba", why: "doc: the Python is the base's own where there is one"},
	{path: "opt/micromamba/", why: "doc: the Python is the base's own where there is one; packages are elsewhere"},
}

// What may differ is documented.
func TestDifferencesAreDocumented(t *testing.T) {
	doc := string(read(t, filepath.Join("..", "..", "docs", "differences.md")))
	for _, d := range slices.Concat(mayDiffer, noEnvironment) {
		words, _, _ := strings.Cut(strings.TrimPrefix(d.why, "doc: "), ";")
		if words != d.why && !strings.Contains(doc, words) {
			t.Errorf("docs/differences.md does not have %q, for %s", words, d.path)
		}
	}
}
