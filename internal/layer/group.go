package layer

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Sized is a package, as far as grouping cares.
type Sized struct {
	Name string // normalised
	Size int64  // of its wheel; 0 where unknown
	// Apart: it shares no layer with those that are not apart.
	Apart bool
}

// Budget bounds the layers that packages may take.
type Budget struct {
	Own     int   // layers of packages that get their own, parts counted one by one
	Buckets int   // layers that the others share
	Part    int64 // a package above this size is split into parts of about this size
}

// DefaultBudget leaves room for the layers below and above the packages: 62 of
// the 64 that an image may put on its base. More layers of their own and fewer
// buckets would make these heavier than 1 MB with the bytecode of 110 packages, and so
// would fewer and more (ADR 5).
func DefaultBudget() Budget { return Budget{Own: 44, Buckets: 18, Part: 1 << 30} }

// ladder is the sizes from which a package may get a layer of its own. When an
// environment moves to another step, only the packages between the two steps change
// their layer: the steps are narrow where most packages are.
var ladder = [...]int64{
	0, 64 << 10, 80 << 10, 96 << 10, 112 << 10, 128 << 10, 160 << 10, 192 << 10, 224 << 10, 256 << 10,
	320 << 10, 384 << 10, 448 << 10, 512 << 10, 640 << 10, 768 << 10,
	1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20, 32 << 20, 64 << 20, 128 << 20, 256 << 20, 512 << 20,
}

// Share is the packages that one layer holds.
type Share struct {
	Names []string // sorted
	Part  int      // of a split package: 1..Parts; else 0
	Parts int
}

// Group says which packages share a layer. A package's layer follows from its own
// name and size and from the step of the ladder alone, so a change of one package
// moves no other: the big ones have a layer each, the small ones fall into buckets
// by their name. The result does not depend on the order of pkgs: own layers come
// first, the big ones below, then the buckets that hold something. An engine with a
// graph driver takes all layers above a changed one anew, so what is big lies deep;
// among packages of about one size the name decides, so that a new version moves nothing.
func Group(pkgs []Sized, b Budget) []Share {
	pkgs = slices.Clone(pkgs)
	slices.SortFunc(pkgs, func(x, y Sized) int {
		return cmp.Or(cmp.Compare(bits.Len64(uint64(y.Size)), bits.Len64(uint64(x.Size))), cmp.Compare(x.Name, y.Name))
	})
	own := ownLayers(pkgs, b)
	var shares []Share
	buckets := make([][]string, max(b.Buckets, 1))
	common := len(buckets) // the first of the buckets; the rest is for those that are apart
	if common > 1 && slices.ContainsFunc(pkgs, func(p Sized) bool { return p.Apart }) {
		common -= common / 2
	}
	for _, p := range pkgs {
		if !own[p.Name] {
			i := bucketOf(p.Name, common)
			if p.Apart && common < len(buckets) {
				i = common + bucketOf(p.Name, len(buckets)-common)
			}
			buckets[i] = append(buckets[i], p.Name)
			continue
		}
		n := parts(p, b)
		if n == 1 {
			shares = append(shares, Share{Names: []string{p.Name}})
			continue
		}
		for part := 1; part <= n; part++ {
			shares = append(shares, Share{Names: []string{p.Name}, Part: part, Parts: n})
		}
	}
	for _, names := range buckets {
		if len(names) > 0 {
			slices.Sort(names)
			shares = append(shares, Share{Names: names})
		}
	}
	return shares
}

// ownLayers picks the packages at or above the lowest step that fits the budget.
// Where even the highest step does not fit, the biggest packages are picked.
func ownLayers(pkgs []Sized, b Budget) map[string]bool {
	for _, step := range ladder {
		own, layers := map[string]bool{}, 0
		for _, p := range pkgs {
			if p.Size >= step {
				own[p.Name] = true
				layers += parts(p, b)
			}
		}
		if layers <= b.Own {
			return own
		}
	}
	bySize := slices.Clone(pkgs)
	slices.SortStableFunc(bySize, func(x, y Sized) int { return cmp.Compare(y.Size, x.Size) })
	own, layers := map[string]bool{}, 0
	for _, p := range bySize {
		if layers += parts(p, b); layers > b.Own {
			break
		}
		own[p.Name] = true
	}
	return own
}

func parts(p Sized, b Budget) int {
	if b.Part <= 0 || p.Size <= b.Part {
		return 1
	}
	return int((p.Size + b.Part - 1) / b.Part)
}

func bucketOf(name string, n int) int {
	sum := sha256.Sum256([]byte(name))
	return int(binary.BigEndian.Uint64(sum[:8]) % uint64(n))
}

// Cut divides entries of the given sizes, in their order, into parts of about
// equal weight: part i (from 0) is entries[cut[i]:cut[i+1]]. An entry is never divided.
func Cut(sizes []int64, parts int) []int {
	total := int64(0)
	for _, s := range sizes {
		total += s
	}
	cut := make([]int, parts+1)
	cut[parts] = len(sizes)
	sum, part := int64(0), 1
	for i, s := range sizes {
		// An entry belongs to the part in which its middle lies.
		for part < parts && sum+s/2 >= total/int64(parts)*int64(part) {
			cut[part] = i
			part++
		}
		sum += s
	}
	for ; part < parts; part++ {
		cut[part] = len(sizes)
	}
	return cut
}
