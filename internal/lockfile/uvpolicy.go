package lockfile

import "slices"

// buildPolicy says which packages come from wheels and which may be built.
type buildPolicy struct {
	noBinary, noBuild               bool
	noBinaryPackage, noBuildPackage []string
	noEditable                      bool
	noEditablePackage               []string
}

// with returns the policy with what a choice says about it.
func (p buildPolicy) with(c Choice) buildPolicy {
	if c.NoBinary != nil {
		p.noBinary = *c.NoBinary
	}
	if c.NoBuild != nil {
		p.noBuild = *c.NoBuild
	}
	p.noBinaryPackage = slices.Concat(p.noBinaryPackage, c.NoBinaryPackages)
	p.noBuildPackage = slices.Concat(p.noBuildPackage, c.NoBuildPackages)
	p.noEditable, p.noEditablePackage = c.NoEditable, c.NoEditablePackages
	return p
}

// links reports whether a package that is locked as editable is installed as a link.
func (p *buildPolicy) links(name string) bool {
	return !p.noEditable && !slices.Contains(p.noEditablePackage, name)
}

// refusesWheels reports whether a package has to be built although wheels of it may exist. As in uv, a setting for
// all packages gives way where the opposite setting names the package.
func (p *buildPolicy) refusesWheels(name string) bool {
	if p.noBinary {
		return p.noBuild || !slices.Contains(p.noBuildPackage, name)
	}
	return slices.Contains(p.noBinaryPackage, name)
}

// refusesBuilds reports whether a package may not be built.
func (p *buildPolicy) refusesBuilds(name string) bool {
	if p.noBuild {
		return p.noBinary || !slices.Contains(p.noBinaryPackage, name)
	}
	return slices.Contains(p.noBuildPackage, name)
}
