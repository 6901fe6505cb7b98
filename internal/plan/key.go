package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
)

// formatVersion is part of every key. It grows whenever the same inputs make other
// bytes than before: when wheel installs otherwise, or layer writes otherwise.
const formatVersion = 1

// Format is the version of what keys stand for; keys of two formats cannot be compared.
const Format = formatVersion

// digest hashes values so that no two lists of values look alike: each has its length before it.
type digest struct{ h hash.Hash }

func newDigest(kind string) digest {
	d := digest{sha256.New()}
	d.number(formatVersion)
	d.text(kind)
	return d
}

func (d digest) text(values ...string) {
	for _, v := range values {
		d.number(int64(len(v)))
		d.h.Write([]byte(v))
	}
}

func (d digest) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	d.h.Write(b[:])
}

func (d digest) files(files []File) {
	d.number(int64(len(files)))
	for _, f := range files {
		d.text(f.Path, f.Link, string(f.Data))
		d.number(int64(f.Mode))
		d.number(int64(f.Owner.UID))
		d.number(int64(f.Owner.GID))
		if f.Opaque { // no path of a file begins like this
			d.text("opaque")
		}
		if f.Gone {
			d.text("gone")
		}
		if f.From != nil {
			d.text("content", f.From.Digest)
		}
	}
}

func (d digest) String() string { return hex.EncodeToString(d.h.Sum(nil)) }

// filesKey is the key of a layer that a plan writes itself.
func filesKey(kind Kind, files []File) string {
	d := newDigest(string(kind))
	d.files(files)
	return d.String()
}

func (p *Plan) packagesKey(l Layer) string {
	d := newDigest(string(l.Kind))
	s, owner, code := p.Prefix, p.Owner, p.Bytecode
	d.text(s.Prefix, s.SitePackages, s.Scripts, s.Headers, s.Interpreter)
	d.number(int64(owner.UID))
	d.number(int64(owner.GID))
	d.files(l.Files)
	d.number(int64(l.Part))
	d.number(int64(l.Parts))
	for _, p := range l.Packages {
		d.text(p.Name, p.Filename, p.Hash)
		if p.Built {
			d.text("built")
		}
		if p.Direct == nil {
			d.number(0)
			continue
		}
		d.number(1)
		d.text(p.Direct.URL, p.Direct.Hash)
		if p.Direct.Editable {
			d.number(1)
		}
		if p.Direct.Commit != "" {
			d.text(p.Direct.Commit, p.Direct.Requested, p.Direct.Subdirectory)
		}
	}
	code.hash(d)
	if p.dirs != nil { // directories that packages may add to: see Dir
		d.text("dirs")
		for _, dir := range slices.Sorted(maps.Keys(p.dirs)) {
			e := p.dirs[dir]
			d.text(dir)
			d.number(int64(e.Mode))
			d.number(int64(e.UID))
			d.number(int64(e.GID))
		}
	}
	return d.String()
}

// Key is the plan's own: equal keys mean equal images.
func (p *Plan) Key() string {
	d := newDigest("image")
	d.text(p.Platform, p.Base.Digest)
	if len(p.Without) > 0 {
		d.text("without")
		d.text(p.Without...)
	}
	for _, l := range p.Layers {
		d.text(l.Key)
	}
	if p.Above != nil {
		d.text("above", p.Above.Key)
	}
	c := p.Config
	for _, list := range [][]string{c.Env, {c.User, c.WorkingDir}, c.Shell, c.Entrypoint} {
		d.number(int64(len(list)))
		d.text(list...)
	}
	if c.SetEntrypoint {
		d.text("entrypoint")
	}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		d.text(k, c.Labels[k])
	}
	return d.String()
}
