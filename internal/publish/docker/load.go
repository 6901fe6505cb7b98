package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/imgspecd/imgspecd/internal/publish"
)

// load is one image on its way into an engine.
type load struct {
	*conn
	ref   reference.NamedTagged
	parts *publish.Parts
	info  Info
	sent  *publish.Tally
}

// choose takes the image of an index that is for the engine's platform.
func (l *load) choose() {
	if len(l.parts.Images) == 0 {
		return
	}
	chosen := l.parts.Images[0]
	var all []string
	for _, p := range l.parts.Images {
		all = append(all, p.Platform.String())
		if p.Platform.OS+"/"+p.Platform.Architecture == l.info.Platform {
			chosen = p
		}
	}
	l.sent.Note(fmt.Sprintf("Docker keeps images with %s, which has room for one platform: of %s it gets %s",
		l.info.Driver, strings.Join(all, ", "), chosen.Platform))
	l.parts = chosen
}

// want is what the engine will call the image.
func (l *load) want() string {
	if l.info.Containerd {
		return l.parts.Digest.String()
	}
	return l.parts.Parsed.Config.Digest.String()
}

// run loads what is missing; if the engine then does not have the whole image, all of it.
func (l *load) run(ctx context.Context) error {
	old, err := l.inspect(ctx, l.ref.String())
	if err != nil {
		return err
	}
	if old != nil && old.id == l.want() && old.whole {
		l.published(old.id)
		return nil
	}
	p := &present{load: l, have: map[v1.Hash]bool{}}
	if err := p.find(ctx, old); err != nil {
		return err
	}
	thin := p.thin()
	if err = l.try(ctx, thin); err != nil && len(thin) < len(l.parts.Blobs) && !final(ctx, err) {
		l.sent.Note(fmt.Sprintf("Docker lacks layers it seemed to have; the whole image is sent (%v)", err))
		err = l.try(ctx, l.parts.Blobs)
	}
	if err != nil {
		return err
	}
	l.published(l.want())
	return l.removeReplaced(ctx, old)
}

// final says whether sending more cannot help.
func final(ctx context.Context, err error) bool {
	var source *sourceError
	return ctx.Err() != nil || errors.Is(err, publish.ErrUnreachable) || errors.As(err, &source)
}

// try loads an archive and asks the engine what it has then. The answer to the load
// alone says little: a containerd store takes a manifest whose layers it lacks, and
// says so in a line that is not marked as an error (moby 29).
func (l *load) try(ctx context.Context, send []publish.Part) error {
	for _, b := range send {
		l.sent.Expect(b)
	}
	l.sending(l.want())
	if err := l.send(ctx, send); err != nil {
		return err
	}
	got, err := l.inspect(ctx, l.ref.String())
	switch {
	case err != nil:
		return err
	case got == nil:
		return errors.New("the engine took the image, but does not have it")
	case got.id != l.want():
		return fmt.Errorf("the engine took the image, but the name means %s there", got.id)
	case !got.whole:
		return errors.New("the engine took the image, but lacks a part of its content")
	}
	return nil
}

func (l *load) send(ctx context.Context, send []publish.Part) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := l.archive(ctx, w, send)
		w.CloseWithError(err)
		written <- err
	}()
	err := l.post(ctx, r)
	r.CloseWithError(errClosed) // unblocks the writer if the engine stopped reading
	var source *sourceError
	if werr := <-written; errors.As(werr, &source) {
		return werr
	}
	return err
}

var errClosed = errors.New("the engine stopped reading")

func (l *load) post(ctx context.Context, tar io.Reader) error {
	resp, err := l.api.ImageLoad(ctx, tar, client.ImageLoadWithQuiet(true))
	if err != nil {
		return l.explain(ctx, "load", err)
	}
	defer resp.Close()
	d := json.NewDecoder(resp)
	var failed error
	for { // to the end: what is wrong may come last
		var line struct{ Stream, Error string }
		err := d.Decode(&line)
		if err == io.EOF {
			return failed
		}
		if err != nil {
			return l.explain(ctx, "load", err)
		}
		if failed == nil && line.Error != "" {
			failed = fmt.Errorf("load: %s", line.Error)
		}
		if failed == nil && strings.HasPrefix(line.Stream, "Error ") { // "Error unpacking image X: ..."
			failed = fmt.Errorf("load: %s", strings.TrimSpace(line.Stream))
		}
	}
}

// removeReplaced removes the image that the name meant before, if this load left it
// without any name.
func (l *load) removeReplaced(ctx context.Context, old *image) error {
	if old == nil || old.id == l.want() || l.deps.KeepReplaced {
		return nil
	}
	now, err := l.inspect(ctx, old.id)
	if err != nil || now == nil || len(now.tags) > 0 {
		return err
	}
	l.removing(old.id)
	// Not forced: one that a container uses, or another image is made from, stays.
	if _, err := l.api.ImageRemove(ctx, old.id, client.ImageRemoveOptions{}); err != nil {
		l.sent.Note(fmt.Sprintf("the image that %s meant before (%s) stays in Docker: %v", reference.FamiliarString(l.ref), old.id, shorter(err)))
	}
	return nil
}
