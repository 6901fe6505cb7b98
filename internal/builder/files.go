package builder

import (
	"fmt"
	"io/fs"

	"github.com/imgspecd/imgspecd/internal/layer"
	"github.com/imgspecd/imgspecd/internal/plan"
)

const dirMode = fs.ModeDir | 0o755

func header(f plan.File) layer.Header {
	return layer.Header{Path: f.Path, Mode: f.Mode, UID: f.Owner.UID, GID: f.Owner.GID}
}

// writeFiles writes what a plan holds itself, and what it copies.
func writeFiles(w *layer.Writer, files []plan.File, from *contents) error {
	for _, f := range files {
		var err error
		if f.Gone {
			if err := w.Gone(f.Path); err != nil {
				return err
			}
			continue
		}
		switch f.Mode.Type() {
		case fs.ModeDir:
			if err = w.Dir(header(f)); err == nil && f.Opaque {
				err = w.Opaque(header(f))
			}
		case fs.ModeSymlink:
			err = w.Symlink(header(f), f.Link)
		case 0:
			err = writeFile(w, f, from)
		default:
			err = fmt.Errorf("write %s: it is no file, directory or symlink", f.Path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeFile(w *layer.Writer, f plan.File, from *contents) error {
	if f.From == nil {
		return w.File(header(f), f.Data)
	}
	h := header(f)
	h.Size = f.From.Size
	c := from.reader(*f.From)
	if h.Size == 0 { // nobody reads nothing
		if _, err := c.Read(nil); err != nil {
			return err
		}
	}
	return w.Content(h, c)
}
