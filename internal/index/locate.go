package index

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// NotListedError says that no index has a file that a lock pins.
type NotListedError struct {
	Filename string
	Indexes  []string // that were asked, without credentials
	Others   bool     // a file of that name is there, with another hash
}

func (e *NotListedError) Error() string {
	where := strings.Join(e.Indexes, " and ")
	if e.Others {
		return fmt.Sprintf("%s is at %s with another hash than the lock's: it was replaced, or is another project's", e.Filename, where)
	}
	return fmt.Sprintf("%s is not at %s (any more)", e.Filename, where)
}

// Locate finds where a file can be had that is known by name and hash: in the index that f names, else in the client's, in order.
//
// Which index answers does not matter for safety: what is fetched has the hash that the lock pins or is refused, so no index can
// slip in a file of its own by offering a project of the same name. An index that cannot be asked ends the search only when no
// other has the file.
func (c *Client) Locate(ctx context.Context, f File) (File, error) {
	hash, err := f.sha256()
	if err != nil {
		return File{}, err
	}
	indexes := c.deps.Indexes
	if f.Index != "" {
		indexes = []Index{{URL: f.Index}}
		c.Learn(indexes...) // its files may lie behind the same login
	}
	missing := &NotListedError{Filename: f.Filename}
	var failed error
	for _, i := range indexes {
		l, others, err := c.search(ctx, i.URL, f, hash)
		switch {
		case ctx.Err() != nil:
			return File{}, context.Cause(ctx)
		case err != nil:
			failed = errors.Join(failed, err)
			continue
		case l != nil:
			f.URL = l.URL
			if f.Size == 0 {
				f.Size = l.Size
			}
			return f, nil
		}
		missing.Others = missing.Others || others
		missing.Indexes = append(missing.Indexes, redact(i.URL))
	}
	if failed != nil {
		return File{}, failed
	}
	return File{}, missing
}

// search looks for a file in one index. A page that was kept is read anew before it is believed to lack something.
func (c *Client) search(ctx context.Context, index string, f File, hash string) (found *Listed, others bool, err error) {
	for _, anew := range []bool{false, true} {
		files, asked, err := c.list(ctx, index, f.Project, anew)
		if err != nil {
			return nil, false, err
		}
		if found, others = pick(files, f.Filename, hash); found != nil || asked {
			return found, others, nil
		}
	}
	return nil, others, nil
}

// pick chooses the file with the hash, else one of the name whose hash the index does not tell: its bytes will.
func pick(files []Listed, filename, hash string) (found *Listed, others bool) {
	for i, l := range files {
		switch {
		case l.SHA256 == hash:
			return &files[i], false
		case l.Filename != filename:
		case l.SHA256 == "" && found == nil:
			found = &files[i]
		case l.SHA256 != "":
			others = true
		}
	}
	return found, others
}
