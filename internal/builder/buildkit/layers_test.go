package buildkit

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// Where something was mounted nothing stays; a directory above that was made for it stays only with what the step has put there.
func TestMountsLeaveNothing(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"root/", "root/.cache/", "root/.cache/uv/", "srv/"}, []string{"root/", "srv/"}},
		{[]string{"root/", "root/.cache/", "root/.cache/mine", "root/.cache/uv/"}, []string{"root/", "root/.cache/", "root/.cache/mine"}},
		{[]string{"root/.cache/", "root/.cachet"}, []string{"root/.cachet"}},
	} {
		var in, out bytes.Buffer
		tw := tar.NewWriter(&in)
		for _, name := range c.in {
			h := &tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeReg}
			if name[len(name)-1] == '/' {
				h.Typeflag = tar.TypeDir
			}
			if err := tw.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
		}
		if err := tw.Close(); err != nil {
			t.Fatal(err)
		}
		n, err := copyTar(&out, &in, map[string]bool{"root/.cache/uv": true}, map[string]bool{"root/.cache": true})
		if err != nil || n != len(c.want) {
			t.Errorf("%q: %d entries, %v", c.in, n, err)
		}
		var got []string
		for tr := tar.NewReader(&out); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, h.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q became %q, want %q", c.in, got, c.want)
		}
	}
}
