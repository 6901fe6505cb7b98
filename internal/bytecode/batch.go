package bytecode

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// A batch is for a Python that is not on this host: all sources go to it in one file,
// all code comes back in another, by the very script that the workers are.
//
//	BatchIn/worker.py BatchIn/sources → Command → BatchOut/code

// Where the process of a batch sees its two directories.
const (
	BatchIn  = "/run/imgspecd-bytecode/in"
	BatchOut = "/run/imgspecd-bytecode/out"
)

// The files in them.
const (
	scriptFile  = "worker.py"
	sourcesFile = "sources"
	codeFile    = "code"
)

// Command is what compiles a batch: the arguments of a process that runs an
// interpreter, and the whole of its environment. It needs no network, and writes
// nothing but BatchOut.
func Command(python string, l Limits) (args, env []string) {
	return []string{
		python, "-s", "-S", "-B", "-W", "ignore", BatchIn + "/" + scriptFile, BatchIn + "/" + sourcesFile, BatchOut + "/" + codeFile,
		strconv.Itoa(l.Memory), strconv.Itoa(int(l.Time.Seconds())),
	}, environment()
}

// Of is the Python of an image: what its own interpreter makes, without one on this host.
func Of(version string) (p Python, ok bool) {
	minor, err := minorOf(version)
	magic, known := magics[minor]
	if err != nil || !known {
		return Python{}, false
	}
	return Python{Version: version, Tag: "cpython-3" + strconv.Itoa(minor), Magic: magic}, true
}

// Sources is a batch in the making.
type Sources struct {
	limits Limits
	file   *os.File
	out    *bufio.Writer
}

// NewSources begins a batch in a directory, which is to be seen at BatchIn.
func NewSources(dir string, l Limits) (*Sources, error) {
	if err := os.WriteFile(filepath.Join(dir, scriptFile), []byte(script), 0o644); err != nil {
		return nil, fmt.Errorf("begin batch: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, sourcesFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("begin batch: %w", err)
	}
	return &Sources{limits: l, file: f, out: bufio.NewWriterSize(f, 64<<10)}, nil
}

// Add puts a source into the batch, unless it is too long to be compiled.
func (s *Sources) Add(path string, source []byte) error {
	if len(source) > s.limits.Source {
		return nil
	}
	_, err := s.out.Write(question(path, source))
	return err
}

// Close ends the batch: it can be compiled now.
func (s *Sources) Close() error { return errors.Join(s.out.Flush(), s.file.Close()) }

// Batch gives out what a batch was compiled to.
type Batch struct {
	python Python
	minor  int
	file   *os.File
	at     map[asked]answered
}

type asked struct {
	path   string
	source [sha256.Size]byte
}

// answered is where the code of a source lies.
type answered struct {
	offset int64
	size   int
}

// OpenBatch reads a batch from the directories that were seen at BatchIn and BatchOut.
// What it gives is a version's, whose interpreter must have compiled it.
func OpenBatch(p Python, in, out string, l Limits) (*Batch, error) {
	minor, err := minorOf(p.Version)
	if err != nil {
		return nil, err
	}
	sources, err := os.Open(filepath.Join(in, sourcesFile))
	if err != nil {
		return nil, fmt.Errorf("open batch: %w", err)
	}
	defer sources.Close()
	b := &Batch{python: p, minor: minor, at: map[asked]answered{}}
	if b.file, err = os.Open(filepath.Join(out, codeFile)); err != nil {
		return nil, fmt.Errorf("open batch: %w", err)
	}
	if err := b.index(bufio.NewReaderSize(sources, 64<<10), bufio.NewReaderSize(b.file, 64<<10), l); err != nil {
		b.Close()
		return nil, fmt.Errorf("open batch: %w", err)
	}
	return b, nil
}

// index finds the answer to each source.
func (b *Batch) index(sources, code *bufio.Reader, l Limits) error {
	offset := int64(0)
	for {
		path, err := piece(sources, l.Source)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		source, err := piece(sources, l.Source)
		if err != nil {
			return err
		}
		size, err := length(code)
		if err != nil || size > l.Code {
			return fmt.Errorf("the code of %s is missing or too long", path)
		}
		if _, err := code.Discard(size); err != nil {
			return fmt.Errorf("the code of %s is cut off", path)
		}
		offset += 4
		b.at[asked{string(path), sha256.Sum256(source)}] = answered{offset, size}
		offset += int64(size)
	}
	if _, err := code.ReadByte(); err != io.EOF {
		return errors.New("there is more code than sources")
	}
	return nil
}

// length reads that of the next piece; io.EOF where there is none.
func length(r io.Reader) (int, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(b[:])), nil
}

func piece(r io.Reader, limit int) ([]byte, error) {
	n, err := length(r)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("a piece of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return b, nil
}

// Compile is Compiler's, for what was in the batch.
func (b *Batch) Compile(_ context.Context, path string, source []byte) ([]byte, error) {
	at, ok := b.at[asked{path, sha256.Sum256(source)}]
	if !ok || at.size == 0 {
		return nil, nil
	}
	code := make([]byte, at.size)
	if _, err := b.file.ReadAt(code, at.offset); err != nil {
		return nil, fmt.Errorf("read the code of %s: %w", path, err)
	}
	pyc, err := b.python.pyc(code, b.minor, len(source))
	if err != nil {
		return nil, fmt.Errorf("code of %s, of the image's Python: %w", path, err)
	}
	return pyc, nil
}

// Close lets go of the file.
func (b *Batch) Close() { b.file.Close() }
