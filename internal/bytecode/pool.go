package bytecode

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"time"
)

//go:embed worker.py
var script string

// Limits bound what one source may cost.
type Limits struct {
	Source int           // bytes; a longer one is not compiled
	Code   int           // bytes of marshalled code
	Memory int           // bytes of address space of a worker, where the system bounds that
	Time   time.Duration // for one source
}

// DefaultLimits let everything through that people publish: the longest modules of
// generated tables hold some 5 MB and take a few seconds.
func DefaultLimits() Limits {
	return Limits{Source: 16 << 20, Code: 64 << 20, Memory: 2 << 30, Time: time.Minute}
}

// Compiler makes .pyc files. Safe for concurrent use, until Close.
type Compiler interface {
	// Compile returns the .pyc of a source that lies at path in the image, or nil when it
	// does not compile within the limits.
	Compile(ctx context.Context, path string, source []byte) ([]byte, error)
	Close()
}

// Pool compiles with a few workers on this host, which it starts as they are needed.
type Pool struct {
	python Python
	minor  int
	limits Limits
	log    *slog.Logger
	seats  chan *worker // one per worker; nil: not started
	warm   sync.WaitGroup
}

// NewPool returns a Pool of so many workers.
func NewPool(p Python, workers int, l Limits, log *slog.Logger) (*Pool, error) {
	minor, err := minorOf(p.Version)
	if err != nil {
		return nil, err
	}
	pool := &Pool{python: p, minor: minor, limits: l, log: log, seats: make(chan *worker, max(1, workers))}
	for range cap(pool.seats) {
		pool.seats <- nil
	}
	return pool, nil
}

// Warm starts the workers beside what the caller does, who will soon need them.
func (p *Pool) Warm() {
	for range cap(p.seats) {
		select {
		case w := <-p.seats:
			p.warm.Go(func() {
				if w == nil {
					w, _ = p.start() // what is wrong is told to whoever compiles
				}
				p.seats <- w
			})
		default:
			return
		}
	}
}

// Close ends the workers. No Compile may be under way.
func (p *Pool) Close() {
	p.warm.Wait()
	for range cap(p.seats) {
		if w := <-p.seats; w != nil {
			w.end()
		}
	}
}

// mtime is that of every file in a layer: the zip format's epoch (layer.Epoch).
const mtime = 315532800

// Compile is Compiler's. The error is ctx's, or says that the Python cannot be run.
func (p *Pool) Compile(ctx context.Context, path string, source []byte) ([]byte, error) {
	if len(source) > p.limits.Source {
		return nil, nil
	}
	code, err := p.code(ctx, path, source)
	if err != nil || len(code) == 0 {
		return nil, err
	}
	pyc, err := p.python.pyc(code, p.minor, len(source))
	if err != nil {
		return nil, fmt.Errorf("compile %s with %s: %w", path, p.python.Path, err)
	}
	return pyc, nil
}

// code has a worker compile a source, and lets go of it.
func (p *Pool) code(ctx context.Context, path string, source []byte) ([]byte, error) {
	var w *worker
	select {
	case w = <-p.seats:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { p.seats <- w }()
	if w == nil {
		var err error
		if w, err = p.start(); err != nil {
			return nil, err
		}
	}
	code, err := w.compile(ctx, path, source, p.limits)
	if err == nil {
		return code, nil
	}
	w.end()
	w = nil
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.log.Warn("source was not compiled", "path", path, "err", err)
	return nil, nil
}

// pyc makes a file of marshalled code, with PEP 552's header of one that holds while
// its source has that time and size.
func (p Python) pyc(code []byte, minor, size int) ([]byte, error) {
	h := binary.LittleEndian.AppendUint16(make([]byte, 0, 16+len(code)), p.Magic)
	h = append(h, '\r', '\n', 0, 0, 0, 0)
	h = binary.LittleEndian.AppendUint32(h, mtime)
	h = binary.LittleEndian.AppendUint32(h, uint32(size))
	return canonical(h, code, minor)
}

// worker is one interpreter. A Compile owns it while it works.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs an interpreter under the limit of memory, by the shell, which every Unix has.
// Without -I, which would ignore the seed; what -I keeps away is not in the environment,
// and the script takes the working directory off the path.
func (p *Pool) start() (*worker, error) {
	cmd := exec.Command("/bin/sh", "-c", `ulimit -c 0 2>/dev/null; ulimit -v "$0" 2>/dev/null; exec "$@"`, //nolint:noctx // a worker lasts longer than a request: the pool ends it
		fmt.Sprint(p.limits.Memory>>10), p.python.Path, "-s", "-S", "-B", "-W", "ignore", "-c", script)
	cmd.Dir, cmd.Env = "/", environment()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.python.Path, err)
	}
	w := &worker{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10)}
	var hello [1]byte
	if _, err := io.ReadFull(w.out, hello[:]); err != nil {
		w.end()
		return nil, fmt.Errorf("start %s: %w", p.python.Path, errors.Join(errors.New("it ended at once"), err))
	}
	return w, nil
}

// compile sends a source and reads the answer. After an error the worker is of no use.
func (w *worker) compile(ctx context.Context, path string, source []byte, l Limits) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Time)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = w.cmd.Process.Kill() })
	defer stop()
	var size [4]byte
	_, err := w.in.Write(question(path, source))
	if err == nil {
		_, err = io.ReadFull(w.out, size[:])
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if err == nil && n > l.Code {
		err = fmt.Errorf("its code is %d bytes long", n)
	}
	var code []byte
	if err == nil {
		code = make([]byte, n)
		_, err = io.ReadFull(w.out, code)
	}
	switch {
	case err == nil:
		return code, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("compile: %w", context.Cause(ctx))
	}
	return nil, fmt.Errorf("compile: the interpreter ended: %w", err)
}

// question is what the script is asked about a source.
func question(path string, source []byte) []byte {
	b := make([]byte, 0, 8+len(path)+len(source))
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(path))), path...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(source))), source...)
}

// end kills the interpreter, which holds nothing that is worth more, and reaps it.
func (w *worker) end() {
	_ = w.in.Close()
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}
