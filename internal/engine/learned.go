package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/store"
)

// Learn makes a record of what a run asked for, and compares flytekit's name with
// ours. beside is the version of flytekit that the project itself names.
func (r *ProjectReader) Learn(_ context.Context, p store.Project, beside string, req api.PutSpec, at time.Time) (store.Learned, error) {
	fields, err := imagespec.ParseKwargs(req.Spec)
	if err != nil {
		return store.Learned{}, &api.Error{Code: api.CodeBadRequest, Message: "read spec: " + err.Error()}
	}
	key := sha256.Sum256([]byte(req.Dir + "\x00" + string(fields.JSON())))
	rec := store.Learned{
		Project: p.ID, Key: hex.EncodeToString(key[:6]), Dir: req.Dir, Spec: fields.JSON(), Flytekit: req.Flytekit, Beside: beside,
		Machine: req.Machine, Builder: req.Builder, Modules: req.Modules, Name: req.Name, Tag: req.Tag, ID: req.ID, Since: at.UTC(), At: at.UTC(),
	}
	if known, err := r.recordsOf(p.ID); err != nil {
		return rec, err
	} else if i := slices.IndexFunc(known, func(o store.Learned) bool { return o.Key == rec.Key }); i >= 0 {
		rec.Since = known[i].Since
	}
	o := r.learnedOptions(rec, rec.Flytekit)
	id, err := imagespec.ID(fields, o)
	if err != nil {
		return rec, toError(err)
	}
	named, blind, err := follow(fields, o)
	m := &api.Mismatch{
		Name: req.Name, Tag: req.Tag, ID: req.ID, Flytekit: req.Flytekit,
		Ours: named.Name, OursID: id, Hashed: conceal(named.Hashed), At: rec.At,
	}
	for _, in := range named.Inputs {
		m.Inputs = append(m.Inputs, api.Input(in))
	}
	switch {
	case err != nil:
		m.Ours, m.Reason = "", "imgspecd has no name for it: "+err.Error()
	case id != req.ID:
		m.Reason = "the ids differ: a field reads otherwise here, or flytekit " + req.Flytekit + " has a rule of its own"
	case blind:
		rec.Print, _ = sourcePrint(named)
		return rec, nil
	case named.Tag != req.Tag:
		m.Reason = "the ids agree and the tags do not: a file in the tag was another when flytekit read it"
	case named.Name != req.Name:
		m.Reason = "the tags agree and the names do not"
	default:
		return rec, nil
	}
	rec.Mismatch = m
	return rec, nil
}

func (r *ProjectReader) learnedOptions(rec store.Learned, version string) imagespec.Options {
	return imagespec.Options{
		Dir: rec.Dir, Flytekit: version, Machine: cmp.Or(rec.Machine, r.Machine), Builder: rec.Builder,
		Modules: rec.Modules, ReadFile: stableRead,
	}
}

// follow names a spec. Where the name depends on modules that are not known (blind),
// all but name and tag is right.
func follow(fields imagespec.Spec, o imagespec.Options) (n imagespec.Named, blind bool, err error) {
	n, err = imagespec.Name(fields, o)
	var unpredictable *imagespec.Unpredictable
	if !errors.As(err, &unpredictable) {
		return n, false, err
	}
	if nested, ok := fields.BaseSpec(); ok {
		if _, err := imagespec.Name(nested, o); err != nil {
			return n, false, fmt.Errorf("base_image: %w", err)
		}
	}
	o.Modules = []string{}
	n, err = imagespec.Name(fields, o)
	return n, true, err
}

// recallAll adds what was learned to what was found. A spec that was found and
// learned is one image: it stays where it was found, and has the name that runs give it.
func (r *ProjectReader) recallAll(out *Reading, p store.Project, set Settings) error {
	recs, err := r.recordsOf(p.ID)
	if err != nil {
		return err
	}
	for _, rec := range recs {
		s := r.recall(rec, out)
		s.Dir, s.Policy = p.Dir, set.Policy
		found := false
		for i := range out.Specs {
			if o := &out.Specs[i]; o.Source.Kind != "learned" && r.same(*o, s) {
				s.Label, s.Source, s.RunRoot, s.Variables = o.Label, o.Source, o.RunRoot, o.Variables
				*o, found = s, true
			}
		}
		if found {
			continue
		}
		if slices.ContainsFunc(out.Specs, func(o Spec) bool { return o.Label == s.Label }) {
			s.Label += "@" + rec.Key[:6]
		}
		out.Specs = append(out.Specs, s)
	}
	return nil
}

// recordsOf lists what was learned of a project, the oldest first: of two with the
// same name, the later one gets another label, and both keep theirs.
func (r *ProjectReader) recordsOf(project string) ([]store.Learned, error) {
	if r.Learned == nil {
		return nil, nil
	}
	recs, err := r.Learned(project)
	slices.SortFunc(recs, func(a, b store.Learned) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
	})
	return recs, err
}

// same reports whether two specs have the same fields and start at the same directory.
func (r *ProjectReader) same(found, learned Spec) bool {
	if filepath.Clean(found.Cwd) != filepath.Clean(learned.Cwd) {
		return false
	}
	o := imagespec.Options{RunRoot: found.RunRoot, Flytekit: learned.Flytekit, Machine: r.Machine}
	a, err1 := imagespec.ID(found.Fields, o)
	b, err2 := imagespec.ID(learned.Fields, o)
	return err1 == nil && err2 == nil && a == b
}

// recall makes a learned spec be what it is now.
func (r *ProjectReader) recall(rec store.Learned, now *Reading) Spec {
	s := Spec{
		Cwd: rec.Dir, Source: api.Source{Kind: "learned"}, Learned: rec.Key, Flytekit: rec.Flytekit, Python: now.Python,
	}
	if rec.Beside != now.Flytekit {
		s.Flytekit = now.Flytekit // it was replaced since
	}
	fields, err := imagespec.ParseKwargs(rec.Spec)
	s.Fields, s.Label = fields, cmp.Or(fields.ImageName(), "flytekit")
	if err != nil {
		s.fail(fmt.Errorf("read spec: %w", err))
		return s
	}
	if m := rec.Mismatch; m != nil {
		s.Mismatch, s.Err = m, mismatchError(m)
		s.Named = imagespec.Named{Name: rec.Name, Tag: rec.Tag, ID: rec.ID, Spec: fields}
		return s
	}
	named, blind, err := follow(fields, r.learnedOptions(rec, s.Flytekit))
	if err != nil {
		s.fail(err)
		return s
	}
	s.Fields = named.Spec
	if blind {
		var print string
		s.ByRun = true
		if print, s.sources = sourcePrint(named); print != rec.Print {
			s.Unknown, s.Missing, s.Err = true, true, unknownError(rec)
			return s
		}
		named.Name, named.Tag, named.Hashed = rec.Name, rec.Tag, ""
	}
	s.Named = named
	s.fail(r.whole(s))
	return s
}

func mismatchError(m *api.Mismatch) *api.Error {
	ours := "imgspecd calls it " + m.Ours
	if m.Ours == "" {
		ours = "imgspecd cannot"
	}
	return &api.Error{
		Code:    api.CodeInvalid,
		Message: fmt.Sprintf("flytekit %s calls this image %s, %s: %s", m.Flytekit, m.Name, ours, m.Reason),
		Hint:    "it is not built until a run and imgspecd agree; please report what imgspecd explain shows of it",
	}
}

func unknownError(rec store.Learned) *api.Error {
	return &api.Error{
		Code:    api.CodeInvalid,
		Message: "its name is not known: it depends on which modules a run loads, and a file has changed since the last run, which called it " + rec.Name,
		Hint:    "the next run tells it; or set source_copy_mode to CopyFileDetection.ALL or NO_COPY",
	}
}

// Limits of the walk for modules.
const (
	maxSources    = 20_000
	maxSourceSize = 64 << 20
)

// sourcePrint is a digest of all that may decide a name of loaded modules: the files
// that are in it for sure, and every file below source_root that Python could load.
func sourcePrint(n imagespec.Named) (print string, files []string) {
	h := sha256.New()
	for _, in := range n.Inputs {
		if in.Named {
			fmt.Fprintf(h, "%s %s\n", in.Path, in.Digest)
		}
	}
	root := ""
	switch v := n.Spec.Get("source_root").(type) {
	case imagespec.Str:
		root = string(v)
	case imagespec.Path:
		root = string(v)
	}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // what cannot be read was not loaded
		switch {
		case err != nil:
			return nil //nolint:nilerr // as said above
		case d.IsDir() && path != root && notLoaded(path):
			return filepath.SkipDir
		case d.IsDir() || (filepath.Ext(path) != ".py" && filepath.Ext(path) != ".so"):
			return nil
		case len(files) == maxSources:
			return filepath.SkipAll
		}
		files = append(files, path)
		if st, err := d.Info(); err == nil && st.Size() > maxSourceSize {
			fmt.Fprintf(h, "%s %d %d\n", path, st.Size(), st.ModTime().UnixNano())
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			b = nil
		}
		fmt.Fprintf(h, "%s %s\n", path, digest(b))
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), files
}

// notLoaded says that flytekit does not count what is loaded from a directory.
func notLoaded(dir string) bool {
	name := filepath.Base(dir)
	if strings.HasPrefix(name, ".") || name == "node_modules" || name == "site-packages" || name == "__pycache__" {
		return true
	}
	_, err := os.Lstat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}
