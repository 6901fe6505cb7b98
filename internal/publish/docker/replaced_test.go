package docker

import (
	"context"
	"testing"

	"github.com/moby/moby/client"
)

// An image whose only name goes to a newer one leaves nothing behind, unless it is wished to.
func TestReplaced(t *testing.T) {
	engines(t, func(t *testing.T, host string) {
		s := openStore(t)
		for _, keep := range []bool{false, true} {
			d, err := New(Deps{Host: host, Blobs: s, KeepReplaced: keep})
			must(t, err)
			t.Cleanup(func() { d.Close() })
			name := newName(t, d)
			img := on(t, scratch(t), newLayer(t, unique(), 1000))
			old := publishKept(t, s, d, name, img)
			publishKept(t, s, d, name, on(t, img, newLayer(t, unique(), 1000)))
			c, err := d.connect(t.Context())
			must(t, err)
			i, err := c.inspect(t.Context(), old.Digest)
			must(t, err)
			if (i != nil) != keep {
				t.Errorf("keep %v: the image that was replaced is %+v", keep, i)
			}
			if i != nil {
				t.Cleanup(func() {
					_, _ = c.api.ImageRemove(context.Background(), old.Digest, client.ImageRemoveOptions{Force: true})
				})
			}
		}
	})
}
