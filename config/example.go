package config

import _ "embed" // example.toml

//go:embed example.toml
var example string

// Example returns a settings file that explains every key, with nothing set.
func Example() string { return example }
