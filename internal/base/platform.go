package base

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platforms reads the platform argument of an ImageSpec as `docker build --platform` reads it: names separated by commas, with
// the aliases that it knows ("aarch64", "linux/x86_64"), each platform once, in their order. Nothing means Linux on this
// machine's architecture.
func Platforms(s string) ([]string, error) {
	if s == "" {
		s = "linux/" + runtime.GOARCH
	}
	var all []string
	for one := range strings.SplitSeq(s, ",") {
		p, err := parsePlatform(one)
		if err != nil {
			return nil, err
		}
		if name := platformString(p); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all, nil
}

// splitPlatform reads "linux/arm64/v8".
func splitPlatform(s string) (os, arch, variant string) {
	os, rest, _ := strings.Cut(s, "/")
	arch, variant, _ = strings.Cut(rest, "/")
	return os, arch, variant
}

// parsePlatform reads one platform. Images are Linux's wherever they are made.
func parsePlatform(s string) (v1.Platform, error) {
	if strings.EqualFold(s, "local") || strings.EqualFold(s, "linux") {
		s = "linux/" + runtime.GOARCH
	}
	p, err := platforms.Parse(s)
	if err != nil {
		return v1.Platform{}, fmt.Errorf("platform %q is not of the form os/arch[/variant]", s)
	}
	if !strings.Contains(s, "/") {
		p.OS = "linux"
	}
	return normalize(v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}), nil
}

// normalize gives an architecture its usual name, and drops the variant that it
// implies, which some images name and others do not, and all that plays no part in choosing.
func normalize(p v1.Platform) v1.Platform {
	n := platforms.Normalize(ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
	return v1.Platform{OS: n.OS, Architecture: n.Architecture, Variant: n.Variant}
}

// serves says whether an image for have runs where want is asked for.
func serves(have, want v1.Platform) bool {
	have = normalize(have)
	return have.OS == want.OS && have.Architecture == want.Architecture &&
		(want.Variant == "" || have.Variant == want.Variant)
}
