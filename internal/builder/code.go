package builder

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/store"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// code is a .pyc file as it lies in a layer.
type code struct {
	raw      []byte
	deflated bool
	size     int64
	crc      uint32
}

const (
	// codeLevel is how hard .pyc files are compressed. Its streams are part of a layer's
	// digest: when the compressor makes others than it did, plan's bytecodeFormat grows.
	codeLevel = 5
	// Smaller ones go with the headers: a stream of its own costs a frame.
	smallCode = 512
)

var deflaters = sync.Pool{New: func() any {
	z, _ := flate.NewWriter(nil, codeLevel) // the level is in range
	return z
}}

func newCode(pyc []byte) (*code, error) {
	c := &code{raw: pyc, size: int64(len(pyc)), crc: crc32.ChecksumIEEE(pyc)}
	if len(pyc) < smallCode {
		return c, nil
	}
	var out bytes.Buffer
	out.Grow(len(pyc) / 2)
	z := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(z)
	z.Reset(&out)
	if _, err := z.Write(pyc); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	c.raw, c.deflated = out.Bytes(), true
	return c, nil
}

// keeping is what is kept of a package that shares a layer with others, or might: when
// one of these changes, it is written again but not compiled again. It is a zip, by the
// path of the source. A nil one keeps nothing.
type keeping struct {
	key   string
	have  map[string]*code
	added map[string]*code
}

// big is the size of a wheel from which a package that has a layer now will have one
// in other environments too.
const big = 1 << 20

// keepings are those of a layer's packages; none of a big package that has its own
// layer, which is written again only when the package itself is another.
func (r *run) keepings(l plan.Layer, from packages) map[*wheel.Wheel]*keeping {
	if len(l.Packages) == 1 && l.Packages[0].Size > big {
		return nil
	}
	all := map[*wheel.Wheel]*keeping{}
	for i, w := range from {
		k := &keeping{key: r.plan.Bytecode.Key(r.plan.Prefix, l.Packages[i]), added: map[string]*code{}}
		if b, ok := r.deps.Store.Bytecode(k.key); ok {
			k.have = unzip(b)
		}
		all[w] = k
	}
	return all
}

func (k *keeping) find(path string) *code {
	if k == nil {
		return nil
	}
	return k.have[path]
}

func (k *keeping) add(path string, c *code) {
	if k != nil && k.have[path] == nil {
		k.added[path] = c
	}
}

// save keeps what was added, and what was there.
func (k *keeping) save(s *store.Store) error {
	if len(k.added) == 0 {
		return nil
	}
	maps.Copy(k.added, k.have)
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, path := range slices.Sorted(maps.Keys(k.added)) {
		c := k.added[path]
		h := &zip.FileHeader{Name: path, CRC32: c.crc, CompressedSize64: uint64(len(c.raw)), UncompressedSize64: uint64(c.size)}
		if c.deflated {
			h.Method = zip.Deflate
		}
		w, err := z.CreateRaw(h)
		if err == nil {
			_, err = w.Write(c.raw)
		}
		if err != nil {
			return fmt.Errorf("keep bytecode: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("keep bytecode: %w", err)
	}
	return s.PutBytecode(k.key, out.Bytes())
}

// unzip reads what was kept; what cannot be read is compiled again.
func unzip(b []byte) map[string]*code {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil
	}
	have := map[string]*code{}
	for _, f := range z.File {
		r, err := f.OpenRaw()
		if err != nil {
			return nil
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			return nil
		}
		have[f.Name] = &code{raw: raw, deflated: f.Method == zip.Deflate, size: int64(f.UncompressedSize64), crc: f.CRC32}
	}
	return have
}
