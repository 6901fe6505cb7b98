package builder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/imgspecd/imgspecd/internal/bytecode"
	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/plan"
	"github.com/imgspecd/imgspecd/internal/wheel"
)

// compiler makes the .pyc files of one layer, ahead of the writer and in its order.
// A nil one makes none.
type compiler struct {
	*run
	with  bytecode.Compiler
	kept  map[*wheel.Wheel]*keeping
	queue chan *compiled
	cause func() error // why the queue ended too soon
	stop  func()       // ends what is under way
}

// compiled is the .pyc of a file, once done is closed. Code is nil where there is none.
type compiled struct {
	path string // of the .pyc
	code *code
	err  error
	done chan struct{}
}

// compile starts to compile a layer's files.
func (r *run) compile(ctx context.Context, l plan.Layer, from packages, files []installed) (*compiler, error) {
	if r.plan.Bytecode == nil {
		return nil, nil
	}
	with, err := r.compiler.get()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &compiler{run: r, with: with, kept: r.keepings(l, from), queue: make(chan *compiled, 2*r.deps.Parallel)}
	var work sync.WaitGroup
	c.cause = func() error { return context.Cause(ctx) }
	work.Go(func() {
		defer close(c.queue)
		for _, f := range files {
			path, ok := r.cached(f)
			if !ok {
				continue
			}
			one := &compiled{path: path, done: make(chan struct{}), code: c.kept[f.from].find(f.Path)}
			select {
			case c.queue <- one:
			case <-ctx.Done():
				return
			}
			if one.code != nil {
				close(one.done)
				continue
			}
			work.Go(func() {
				defer close(one.done)
				one.code, one.err = c.one(ctx, f)
			})
		}
	})
	c.stop = func() {
		cancel()
		work.Wait()
	}
	return c, nil
}

// cached is where the .pyc of a file lies, if it gets one.
func (r *run) cached(f installed) (string, bool) {
	if f.Mode.IsDir() || f.Data != nil || f.Size > int64(bytecode.DefaultLimits().Source) {
		return "", false
	}
	return r.plan.Bytecode.Cached(r.plan.Prefix, f.Path)
}

func (c *compiler) one(ctx context.Context, f installed) (*code, error) {
	source, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	pyc, err := c.with.Compile(ctx, f.Path, source)
	if pyc == nil || err != nil {
		return nil, err
	}
	return newCode(pyc)
}

// read returns a file's content, unproved: the writer refuses the layer when it is not
// as long as it should be, or has another CRC-32.
func read(f installed) ([]byte, error) {
	raw, err := f.from.Raw(f.File)
	if err != nil {
		return nil, err
	}
	if f.Entry.Method == wheel.Deflated {
		z := flate.NewReader(raw)
		defer z.Close()
		raw = z
	}
	data := make([]byte, f.Size)
	_, err = io.ReadFull(raw, data)
	return data, err
}

// replaced are the .pyc files of packages that have their own, which could only be
// out of date: their sources' times are others.
func (c *compiler) replaced(files []installed) map[string]bool {
	if c == nil {
		return nil
	}
	paths := map[string]bool{}
	for _, f := range files {
		if path, ok := c.cached(f); ok {
			paths[path] = true
		}
	}
	return paths
}

// write puts the .pyc of a file that was just written behind it.
func (c *compiler) write(w *layer.Writer, f installed, owner plan.Owner) error {
	if c == nil {
		return nil
	}
	if _, ok := c.cached(f); !ok {
		return nil
	}
	one, ok := <-c.queue
	if !ok {
		return c.cause()
	}
	<-one.done
	if one.err != nil || one.code == nil {
		return one.err
	}
	c.kept[f.from].add(f.Path, one.code)
	const readable, writable = 0o666, 0o200 // as Python makes them
	h := layer.Header{Path: one.path, Mode: (f.Mode | writable) & readable &^ 0o022, UID: owner.UID, GID: owner.GID, Size: one.code.size}
	if !one.code.deflated {
		return w.File(h, one.code.raw)
	}
	return w.Deflate(h, bytes.NewReader(one.code.raw), int64(len(one.code.raw)), one.code.crc, "")
}

// end waits for what is under way.
func (c *compiler) end() {
	if c != nil {
		c.stop()
	}
}

// keep keeps what was compiled, once all of the layer is written.
func (c *compiler) keep() error {
	if c == nil {
		return nil
	}
	for _, k := range c.kept {
		if err := k.save(c.deps.Store); err != nil {
			return err
		}
	}
	return nil
}
