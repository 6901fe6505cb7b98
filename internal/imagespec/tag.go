package imagespec

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
)

// makeTag fills in Tag, Hashed, Base and the inputs. It replaces what stands for files by digests of
// them, in flytekit's order, and hashes the result as the id is hashed.
func (n *Named) makeTag(r rule, o Options) error {
	t := n.Spec
	if base, ok := t.BaseSpec(); ok {
		nested := o
		nested.RunRoot = "" // pyflyte run gives its project root to the spec of a task alone
		b, err := base.named(r, nested)
		if err != nil {
			return err
		}
		n.Base = &b
		n.Inputs = append(n.Inputs, b.Inputs...)
		n.Dirs = append(n.Dirs, b.Dirs...)
		t = t.with("base_image", Str(b.Name))
	}
	d := digester{rule: r, o: o, to: buildContext{nodes: map[string]Copied{}}, known: map[string]Copied{}}
	if mode := t.fields["source_copy_mode"]; !isNone(mode) && mode != NoCopy {
		sum, err := d.source(t)
		if err != nil {
			return err
		}
		t = t.with("source_root", Str(sum))
	}
	if truthy(t.fields["copy"]) {
		sum, err := d.copied(t.fields["copy"])
		if err != nil {
			return err
		}
		t = t.with("copy", Str(sum))
	}
	copies, err := d.to.finish(o)
	if err != nil {
		return err
	}
	n.Copies, n.Refused, n.Missing = copies, d.to.refused, d.to.missing
	n.Inputs = append(n.Inputs, d.inputs...)
	n.Dirs = append(n.Dirs, d.dirs...)
	if truthy(t.fields["requirements"]) {
		sum, err := n.requirements(t.fields["requirements"], o)
		if err != nil {
			return err
		}
		t = t.with("requirements", Str(sum))
	}
	n.Hashed = t.with("registry_config", None{}).idText(r)
	n.Tag = strings.ReplaceAll(hashText(n.Hashed), "-", "_")
	return n.formatTag()
}

func (n *Named) formatTag() error {
	format := n.Spec.fields["tag_format"]
	if !truthy(format) {
		return nil
	}
	f, ok := format.(Str)
	if !ok {
		return &PythonError{Type: "AttributeError", Field: "tag_format", Message: "'" + format.python() + "' object has no attribute 'format'"}
	}
	tag, err := formatHash(string(f), n.Tag)
	n.Tag = tag
	return err
}

// requirements returns the SHA-1 of the file without white space at its ends. Beside a lock lies a
// pyproject.toml that decides what is installed too, and that no tag sees.
func (n *Named) requirements(v Value, o Options) (string, error) {
	shown, err := pathArgument("requirements", v)
	if err != nil {
		return "", err
	}
	if _, isPath := v.(Path); !isPath {
		shown = string(NewPath(shown)) // pathlib.Path(requirements)
	}
	file := o.path(shown)
	b, err := o.readFile(file)
	if err != nil {
		return "", fileError("requirements", shown, file, err)
	}
	n.Inputs = append(n.Inputs, input(file, b, true))
	switch path.Base(file) {
	case "uv.lock", "poetry.lock":
		project := path.Join(path.Dir(file), "pyproject.toml")
		if b, err := o.readFile(project); err == nil {
			n.Inputs = append(n.Inputs, input(project, b, false))
		}
	}
	sum := sha1.Sum([]byte(strings.Trim(string(b), " \t\n\r\v\f")))
	return hex.EncodeToString(sum[:]), nil
}

func input(file string, content []byte, named bool) Input {
	sum := sha256.Sum256(content)
	return Input{Path: file, Digest: hex.EncodeToString(sum[:]), Named: named}
}

// pathArgument is os.fspath(v).
func pathArgument(field string, v Value) (string, error) {
	switch v := v.(type) {
	case Str:
		return string(v), nil
	case Path:
		return string(v), nil
	}
	return "", &PythonError{Type: "TypeError", Field: field,
		Message: "expected str, bytes or os.PathLike object, not " + v.python()}
}
