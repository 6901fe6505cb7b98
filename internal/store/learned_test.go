package store

import (
	"fmt"
	"testing"
	"time"
)

func TestLearnedIsBoundedAndForgotten(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	put := func(project, key string, at time.Time) {
		t.Helper()
		if err := s.PutLearned(Learned{Project: project, Key: key, Name: "a:" + key, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	count := func(project string) int {
		t.Helper()
		l, err := s.Learned(project)
		if err != nil {
			t.Fatal(err)
		}
		return len(l)
	}
	put("p", "old", day)
	put("p2", "other", day) // whose project's name begins like the first's
	put("p", "old", day.Add(time.Hour))
	if count("p") != 1 || count("p2") != 1 {
		t.Fatalf("%d and %d", count("p"), count("p2"))
	}
	put("p", "new", day.Add(40*24*time.Hour))
	if l, _ := s.Learned("p"); len(l) != 1 || l[0].Key != "new" {
		t.Errorf("what no run asked for in 40 days is kept: %+v", l)
	}
	for i := range 100 {
		put("p", fmt.Sprintf("k%03d", i), day.Add(41*24*time.Hour+time.Duration(i)*time.Second))
	}
	l, _ := s.Learned("p")
	if len(l) != keepLearned || l[len(l)-1].Key != "k099" {
		t.Errorf("%d are kept, the last is %s", len(l), l[len(l)-1].Key)
	}
	if err := s.DeleteLearned("p", "k099"); err != nil || count("p") != keepLearned-1 {
		t.Errorf("one forgotten: %d, %v", count("p"), err)
	}
	if err := s.DeleteLearned("p", ""); err != nil || count("p") != 0 || count("p2") != 1 {
		t.Errorf("all forgotten: %d and %d, %v", count("p"), count("p2"), err)
	}
}
