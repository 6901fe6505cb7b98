package builder

import (
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
	pool  *bytecode.Pool
	plan  *plan.Plan
	queue chan *compiled
	cause func() error // why the queue ended too soon
	stop  func()       // ends what is under way
}

// compiled is the .pyc of a file, once done is closed. Data is nil where there is none.
type compiled struct {
	path string
	data []byte
	err  error
	done chan struct{}
}

// compile starts to compile a layer's files.
func (r *run) compile(ctx context.Context, files []installed) *compiler {
	if r.code == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &compiler{pool: r.code, plan: r.plan, queue: make(chan *compiled, 2*r.deps.Parallel)}
	var work sync.WaitGroup
	c.cause = func() error { return context.Cause(ctx) }
	work.Go(func() {
		defer close(c.queue)
		for _, f := range files {
			path, ok := c.cached(f)
			if !ok {
				continue
			}
			one := &compiled{path: path, done: make(chan struct{})}
			select {
			case c.queue <- one:
			case <-ctx.Done():
				return
			}
			work.Go(func() {
				defer close(one.done)
				one.data, one.err = c.one(ctx, f)
			})
		}
	})
	c.stop = func() {
		cancel()
		work.Wait()
	}
	return c
}

func (c *compiler) cached(f installed) (string, bool) {
	if f.Mode.IsDir() || f.Data != nil {
		return "", false
	}
	return c.plan.Bytecode.Cached(c.plan.Prefix, f.Path)
}

func (c *compiler) one(ctx context.Context, f installed) ([]byte, error) {
	if f.Size > int64(bytecode.DefaultLimits().Source) {
		return nil, nil
	}
	source, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return c.pool.Compile(ctx, f.Path, source)
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
	if one.err != nil || one.data == nil {
		return one.err
	}
	const readable, writable = 0o666, 0o200 // as Python makes them
	return w.File(layer.Header{Path: one.path, Mode: (f.Mode | writable) & readable &^ 0o022, UID: owner.UID, GID: owner.GID}, one.data)
}

// end waits for what is under way.
func (c *compiler) end() {
	if c != nil {
		c.stop()
	}
}
