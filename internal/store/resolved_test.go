package store

import (
	"fmt"
	"testing"
)

func TestResolved(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keepResolved + 3 {
		if err := s.PutResolved(fmt.Sprint(i), []byte("lock")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, ok := s.Resolved(fmt.Sprint(keepResolved + 2)); !ok || string(b) != "lock" {
		t.Errorf("%q, %v", b, ok)
	}
	for i := range 3 {
		if _, ok := s.Resolved(fmt.Sprint(i)); ok {
			t.Errorf("the oldest, %d, is still kept", i)
		}
	}
}
