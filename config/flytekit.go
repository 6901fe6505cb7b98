package config

import "cmp"

// FlytekitImage is the image that flytekit takes for its own instead of the one of its release: FLYTE_INTERNAL_IMAGE. Empty: none.
func (c *Config) FlytekitImage() string {
	const name = "FLYTE_INTERNAL_IMAGE"
	return cmp.Or(c.Env[name], c.env.get(name))
}
