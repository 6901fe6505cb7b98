package project

import (
	"fmt"
	"strings"
	"testing"
)

// repository lays out 5,000 Python files of which one in a hundred holds a spec.
func repository(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	files := map[string]string{"shared.py": "REG = 'ghcr.io/acme'\n"}
	filler := strings.Repeat("def f(x):\n    return [x + 1, 'text', {'a': x}]\n\n", 60)
	for i := range 5000 {
		text := filler
		if i%100 == 0 {
			text = "from flytekit import ImageSpec\nfrom shared import REG\nimg = ImageSpec(name='n', registry=REG)\n" + filler
		}
		files[fmt.Sprintf("pkg%d/mod%d.py", i/50, i)] = text
	}
	lay(b, dir, files)
	return dir
}

// BenchmarkCold is the first look at a repository of 5,000 files.
func BenchmarkCold(b *testing.B) {
	needPython(b)
	dir := repository(b)
	for b.Loop() {
		if res := read(b, &Reader{Cache: newMemory()}, dir, Options{}); len(res.Specs) != 50 {
			b.Fatalf("%d specs", len(res.Specs))
		}
	}
}

// BenchmarkUnchanged is the look after a save that changed none of them.
func BenchmarkUnchanged(b *testing.B) {
	needPython(b)
	dir := repository(b)
	r := &Reader{Cache: newMemory()}
	read(b, r, dir, Options{})
	for b.Loop() {
		read(b, r, dir, Options{})
	}
}
