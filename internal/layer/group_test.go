package layer

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func environment(n int) []Sized {
	r := rand.New(rand.NewPCG(7, 8))
	pkgs := make([]Sized, n)
	for i := range pkgs {
		pkgs[i] = Sized{Name: fmt.Sprintf("package-%03d", i), Size: 1 << (10 + r.IntN(16))}
	}
	return pkgs
}

func TestGroup(t *testing.T) {
	b := DefaultBudget()
	for _, n := range []int{0, 1, 44, 45, 133, 1000} {
		pkgs := environment(n)
		shares := Group(pkgs, b)
		if len(shares) > b.Own+b.Buckets {
			t.Errorf("%d packages take %d layers", n, len(shares))
		}
		var names []string
		for _, s := range shares {
			if !slices.IsSorted(s.Names) || len(s.Names) == 0 {
				t.Errorf("layer of %q", s.Names)
			}
			names = append(names, s.Names...)
		}
		slices.Sort(names)
		if len(slices.Compact(slices.Clone(names))) != n || len(names) != n {
			t.Errorf("%d packages lie in layers %d times", n, len(names))
		}
		rand.New(rand.NewPCG(9, uint64(n))).Shuffle(n, func(i, j int) { pkgs[i], pkgs[j] = pkgs[j], pkgs[i] })
		if !reflect.DeepEqual(Group(pkgs, b), shares) {
			t.Errorf("%d packages: another order gives other layers", n)
		}
	}
}

func TestGroupApart(t *testing.T) {
	pkgs := environment(133)
	for i := range pkgs {
		pkgs[i].Apart = i%3 == 0
	}
	b := DefaultBudget()
	shares := Group(pkgs, b)
	if len(shares) > b.Own+b.Buckets {
		t.Errorf("%d layers", len(shares))
	}
	for _, s := range shares {
		for _, name := range s.Names {
			at := slices.IndexFunc(pkgs, func(p Sized) bool { return p.Name == name })
			first := slices.IndexFunc(pkgs, func(p Sized) bool { return p.Name == s.Names[0] })
			if pkgs[at].Apart != pkgs[first].Apart {
				t.Fatalf("%s and %s share a layer", name, s.Names[0])
			}
		}
	}
}

// A package that comes, goes, or changes its size within a step moves no other.
func TestGroupIsStable(t *testing.T) {
	pkgs := environment(133)
	before := places(pkgs)
	for i, p := range pkgs {
		if p.Size >= 512<<10 {
			continue // one of its own layers; the number of these decides the step
		}
		after := places(slices.Delete(slices.Clone(pkgs), i, i+1))
		for name, place := range after {
			if before[name] != place {
				t.Fatalf("without %s, %s moves from %s to %s", p.Name, name, before[name], place)
			}
		}
	}
}

// places names each package's layer by something that other packages do not change.
func places(pkgs []Sized) map[string]string {
	own := ownLayers(pkgs, DefaultBudget())
	at := map[string]string{}
	for _, s := range Group(pkgs, DefaultBudget()) {
		for _, name := range s.Names {
			at[name] = fmt.Sprint("bucket ", bucketOf(name, DefaultBudget().Buckets))
			if own[name] {
				at[name] = "own"
			}
		}
	}
	return at
}

func TestGroupSplits(t *testing.T) {
	shares := Group([]Sized{{Name: "torch", Size: 5 << 29}, {Name: "small", Size: 10}}, DefaultBudget())
	want := []Share{{[]string{"torch"}, 1, 3}, {[]string{"torch"}, 2, 3}, {[]string{"torch"}, 3, 3}, {Names: []string{"small"}}}
	if !reflect.DeepEqual(shares, want) {
		t.Errorf("layers %v, want %v", shares, want)
	}
	// More big packages than layers: the biggest have their own.
	var many []Sized
	for i := range 50 {
		many = append(many, Sized{Name: fmt.Sprintf("huge-%02d", i), Size: 600<<20 + int64(i)})
	}
	shares = Group(many, DefaultBudget())
	if len(shares) > 62 || !strings.HasPrefix(shares[0].Names[0], "huge-06") || len(shares[0].Names) != 1 {
		t.Errorf("%d layers, the first of %v", len(shares), shares[0].Names)
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		sizes []int64
		parts int
		want  []int
	}{
		{[]int64{1, 1, 1, 1}, 2, []int{0, 2, 4}},
		{[]int64{9, 1, 1, 1}, 2, []int{0, 1, 4}},
		{[]int64{1, 1, 1, 9}, 2, []int{0, 3, 4}},
		{[]int64{5}, 3, []int{0, 0, 0, 1}},
		{nil, 2, []int{0, 0, 0}},
	} {
		got := Cut(tt.sizes, tt.parts)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Cut(%v, %d) = %v, want %v", tt.sizes, tt.parts, got, tt.want)
		}
	}
}
