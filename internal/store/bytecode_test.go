package store

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// What is kept of packages is found again, over a restart; what was damaged or is
// beyond the number to keep is not.
func TestBytecodeIsKept(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		key := fmt.Sprint("key", i)
		if err := s.PutBytecode(key, []byte(key)); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour * time.Duration(10-i))
		if err := os.Chtimes(s.bytecode(key), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if b, ok := s.Bytecode("key0"); !ok || string(b) != "key0" {
		t.Errorf("%q, %v", b, ok)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.trimBytecode(3); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, false, true, true} { // the first was used just now
		if _, ok := s.Bytecode(fmt.Sprint("key", i)); ok != want {
			t.Errorf("key%d: %v", i, ok)
		}
	}
	if err := os.WriteFile(s.bytecode("key4"), []byte("something else that is longer than a sum"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Bytecode("key4"); ok {
		t.Error("damaged bytecode was taken")
	}
}
