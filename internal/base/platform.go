package base

import (
	"fmt"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// splitPlatform reads "linux/arm64/v8".
func splitPlatform(s string) (os, arch, variant string) {
	os, rest, _ := strings.Cut(s, "/")
	arch, variant, _ = strings.Cut(rest, "/")
	return os, arch, variant
}

// parsePlatform reads what was asked for; nothing means Linux on this machine's architecture.
func parsePlatform(s string) (v1.Platform, error) {
	if s == "" {
		s = "linux/" + runtime.GOARCH
	}
	os, arch, variant := splitPlatform(s)
	if os == "" || arch == "" || strings.Contains(variant, "/") {
		return v1.Platform{}, fmt.Errorf("platform %q is not of the form os/arch[/variant]", s)
	}
	return normalize(v1.Platform{OS: os, Architecture: arch, Variant: variant}), nil
}

// normalize drops the variant that an architecture implies, which some images name
// and others do not, and all that plays no part in choosing.
func normalize(p v1.Platform) v1.Platform {
	if p.Architecture == "arm64" && p.Variant == "v8" || p.Architecture == "amd64" && p.Variant == "v1" {
		p.Variant = ""
	}
	return v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

// serves says whether an image for have runs where want is asked for.
func serves(have, want v1.Platform) bool {
	have = normalize(have)
	return have.OS == want.OS && have.Architecture == want.Architecture &&
		(want.Variant == "" || have.Variant == want.Variant)
}
