package main

import (
	"github.com/imgspecd/imgspecd/config"
	"github.com/imgspecd/imgspecd/internal/bytecode"
)

// pythons finds the interpreters that compile packages.
func pythons(cfg *config.Config) *bytecode.Finder {
	at := cfg.Pythons()
	return &bytecode.Finder{Path: at.Path, UV: at.UV, Pyenv: at.Pyenv}
}
