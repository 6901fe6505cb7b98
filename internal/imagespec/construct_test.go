package imagespec

// constructed makes flytekit's checks and fills in its defaults, as Name does first.
func constructed(s Spec, o Options) (Spec, error) {
	r, err := ruleFor(o.Flytekit)
	if err != nil {
		return s, err
	}
	return s.construct(r, o)
}
