package base_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgspecd/imgspecd/internal/base"
)

// Every interpreter that a spec may name is known, on PATH or not; what is none, or cannot be told, is not.
func TestEveryPython(t *testing.T) {
	b, err := resolve(t, v1.Config{Env: []string{"PATH=/usr/local/bin", "PYTHON_VERSION=3.11.4"}}, makeLayer(t,
		"usr/local/bin/python3 -> python3.11", "usr/local/bin/python3.11*="+elf+"\x003.11.4\x00",
		"usr/bin/python3.9*="+elf+"\x003.9.2\x00",
		"opt/conda/bin/python -> python3.12", "opt/conda/bin/python3.12*="+elf+"\x003.12.1\x00",
		"srv/v/bin/python -> /usr/bin/python3.9",
		"usr/bin/python2.7*="+elf, "usr/bin/python -> python2.7",
		"opt/pypy/bin/python3*="+elf+"libpypy3.10-c.so", "opt/shim/bin/python3*=#!/bin/sh\n", "opt/unknown/bin/python3.11*="+elf,
		"usr/bin/python3-config*=#!/bin/sh\n", "opt/lib/python3.11*="+elf+"\x003.11.9\x00", "root/.venv/bin/python -> /usr/bin/python3.9",
		"opt/loop/bin/python3 -> python3", "opt/data/bin/python3="+elf+"\x003.11.9\x00",
	))
	must(t, err)
	want := []base.Python{
		{Link: "/opt/conda/bin/python", Path: "/opt/conda/bin/python3.12", Version: "3.12.1"},
		{Link: "/opt/conda/bin/python3.12", Path: "/opt/conda/bin/python3.12", Version: "3.12.1"},
		{Link: "/srv/v/bin/python", Path: "/usr/bin/python3.9", Version: "3.9.2"},
		{Link: "/usr/bin/python3.9", Path: "/usr/bin/python3.9", Version: "3.9.2"},
		{Link: "/usr/local/bin/python3", Path: "/usr/local/bin/python3.11", Version: "3.11.4"},
		{Link: "/usr/local/bin/python3.11", Path: "/usr/local/bin/python3.11", Version: "3.11.4"},
	}
	if diff := cmp.Diff(want, b.Info.Pythons); diff != "" {
		t.Error(diff)
	}
}
