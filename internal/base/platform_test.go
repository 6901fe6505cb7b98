package base_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/internal/base"
	"github.com/imgspecd/imgspecd/internal/progress"
	"github.com/imgspecd/imgspecd/internal/pypa"
)

func TestPlatforms(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "linux/" + runtime.GOARCH,
		"local":                               "linux/" + runtime.GOARCH,
		"linux/amd64":                         "linux/amd64",
		"linux/arm64/v8":                      "linux/arm64",
		"arm64":                               "linux/arm64",
		"linux/x86_64,linux/aarch64":          "linux/amd64 linux/arm64",
		"linux/arm64,linux/amd64,linux/arm64": "linux/arm64 linux/amd64",
		"linux/arm,linux/arm/v6":              "linux/arm/v7 linux/arm/v6",
		"linux/amd64, linux/arm64":            "",
		"linux/amd64,":                        "",
		"vax":                                 "",
		"linux/arm64/v8/x":                    "",
	} {
		got, err := base.Platforms(in)
		if strings.Join(got, " ") != want || (err != nil) != (want == "") {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

// The base for another machine is looked into like one for this: nothing of it is run.
func TestForeignPlatform(t *testing.T) {
	ref := rig(t, "IMGSPECD_TEST_BASE_MULTI")
	s := openStore(t)
	r := base.NewResolver(base.Deps{Blobs: s, Cache: s})
	for platform, machine := range map[string]string{"linux/amd64": "x86_64", "linux/arm64": "aarch64"} {
		b, err := r.Resolve(t.Context(), ref, platform, progress.Discard)
		must(t, err)
		cfg, err := b.Image.ConfigFile()
		must(t, err)
		if b.Info.Platform != platform || "linux/"+cfg.Architecture != platform {
			t.Errorf("%s: image for %s, %s", platform, b.Info.Platform, cfg.Architecture)
		}
		if want := (base.Python{Path: "/usr/local/bin/python3.11", Link: "/usr/local/bin/python3", Version: "3.11.11"}); *b.Info.Python != want {
			t.Errorf("%s: Python %+v", platform, *b.Info.Python)
		}
		if want := (pypa.Libc{Kind: "glibc", Major: 2, Minor: 36}); b.Info.Libc != want {
			t.Errorf("%s: libc %+v", platform, b.Info.Libc)
		}
		if m := b.Info.Environment().Markers()["platform_machine"]; m != machine {
			t.Errorf("%s: machine %s", platform, m)
		}
	}
	for _, platform := range []string{"linux/arm/v7", "linux/amd64,linux/arm64"} {
		if _, err := r.Resolve(t.Context(), ref, platform, progress.Discard); !errors.Is(err, base.ErrPlatform) {
			t.Errorf("%s: %v", platform, err)
		}
	}
}

func TestMusl(t *testing.T) {
	b, err := base.NewResolver(base.Deps{}).Resolve(t.Context(), rig(t, "IMGSPECD_TEST_BASE_MUSL"), "linux/"+runtime.GOARCH, progress.Discard)
	must(t, err)
	if want := (pypa.Libc{Kind: "musl", Major: 1, Minor: 2}); b.Info.Libc != want {
		t.Errorf("libc %+v", b.Info.Libc)
	}
	if tags := b.Info.Environment().Tags(); !strings.HasPrefix(tags[0].Platform, "musllinux_1_2_") || slices.ContainsFunc(tags, func(t pypa.Tag) bool { return strings.HasPrefix(t.Platform, "manylinux") }) {
		t.Errorf("tags begin with %v", tags[:3])
	}
}
