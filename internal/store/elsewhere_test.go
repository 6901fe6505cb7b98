package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestElsewhere(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)}
	blobs := []v1.Descriptor{{Digest: h, Size: 5}, {Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("cd", 32)}, Size: 7}}
	for i := range keepPlaces + 2 {
		if err := s.PutElsewhere(fmt.Sprintf("r.example.com/p/%d", i), blobs); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutElsewhere("other.example.com/q", blobs[:1]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	size, at := s.Elsewhere(h.String())
	if size != 5 || len(at) != keepPlaces || at[0] != "other.example.com/q" || at[1] != fmt.Sprintf("r.example.com/p/%d", keepPlaces+1) {
		t.Errorf("%d bytes in %q", size, at)
	}
	if got := s.Mounts("r.example.com", h); len(got) != keepPlaces-1 || !strings.HasPrefix(got[0], "p/") {
		t.Errorf("r.example.com has it in %q", got)
	}
	for _, repository := range at {
		if err := s.NotElsewhere(repository, h.String()); err != nil {
			t.Fatal(err)
		}
	}
	if _, at := s.Elsewhere(h.String()); len(at) != 0 {
		t.Errorf("it still lies in %q", at)
	}
	// Another size under a digest was a lie of one of the two.
	other := []v1.Descriptor{{Digest: blobs[1].Digest, Size: 8}}
	if err := s.PutElsewhere("r.example.com/p/0", other); err != nil {
		t.Fatal(err)
	}
	if size, at := s.Elsewhere(other[0].Digest.String()); size != 8 || !slices.Equal(at, []string{"r.example.com/p/0"}) {
		t.Errorf("%d bytes in %q", size, at)
	}
}
