package lockfile

// uvArgs reads arguments of `uv sync`, to which flytekit adds --locked --no-dev --no-install-project at the end.
func uvArgs(words []string) (Choice, error) {
	r := optionReader{tool: "uv sync", known: uvOptions(), equals: true, words: words}
	if err := r.read(); err != nil {
		return Choice{}, err
	}
	err := r.exclude([2]string{"--extra", "--all-extras"}, [2]string{"--only-group", "--extra"}, [2]string{"--only-group", "--all-extras"},
		[2]string{"--only-group", "--group"}, [2]string{"--only-group", "--all-groups"}, [2]string{"--package", "--all-packages"},
		[2]string{"--only-install-package", "--no-install-package"}, [2]string{"--only-install-workspace", "--no-install-workspace"},
		[2]string{"--only-install-local", "--no-install-local"}, [2]string{"--verbose", "--quiet"}, [2]string{"--color", "--no-color"})
	return r.choice, err
}

func uvOptions() options {
	o := options{}
	o.uvSelection()
	o.uvInstall()
	o.uvIgnored()
	o.uvRefused()
	return o
}

// uvSelection adds what decides which packages are chosen.
func (o options) uvSelection() {
	o.names("--extra", atCommas, func(c *Choice) *[]string { return &c.Extras })
	o.names("--no-extra", nil, func(c *Choice) *[]string { return &c.NotExtras })
	o.names("--group", nil, func(c *Choice) *[]string { return &c.Groups })
	o.names("--no-group", atSpaces, func(c *Choice) *[]string { return &c.NotGroups })
	o.names("--only-group", nil, func(c *Choice) *[]string { return &c.OnlyGroups })
	o.names("--package", nil, func(c *Choice) *[]string { return &c.Packages })
	o.names("--no-install-package", nil, func(c *Choice) *[]string { return &c.NotInstalled })
	o.names("--only-install-package", nil, func(c *Choice) *[]string { return &c.OnlyInstalled })
	o.flag("--all-extras", func(c *Choice) { c.AllExtras = true })
	o.flag("--no-all-extras", func(c *Choice) { c.AllExtras = false })
	o.flag("--all-groups", func(c *Choice) { c.AllGroups = true })
	o.flag("--no-default-groups", func(c *Choice) { c.NoDefaultGroups = true })
	o.flag("--all-packages", func(c *Choice) { c.AllPackages = true })
	o.flag("--no-install-workspace", func(c *Choice) { c.NoWorkspace = true })
	o.flag("--no-install-local", func(c *Choice) { c.NoLocal = true })
	o.flag("--only-install-workspace", func(c *Choice) { c.OnlyWorkspace = true })
	o.flag("--only-install-local", func(c *Choice) { c.OnlyLocal = true })
	o.flags("--dev") // the --no-dev that follows takes it back
}

// uvInstall adds what decides how packages are installed.
func (o options) uvInstall() {
	yes, no := true, false
	o.flag("--no-binary", func(c *Choice) { c.NoBinary = &yes })
	o.flag("--binary", func(c *Choice) { c.NoBinary = &no })
	o.flag("--no-build", func(c *Choice) { c.NoBuild = &yes })
	o.flag("--build", func(c *Choice) { c.NoBuild = &no })
	o.flag("--inexact", func(c *Choice) { c.Inexact = true })
	o.flag("--exact", func(c *Choice) { c.Inexact = false })
	o.flag("--no-editable", func(c *Choice) { c.NoEditable = true })
	o.flag("--editable", func(c *Choice) { c.NoEditable = false })
	o.names("--no-binary-package", atSpaces, func(c *Choice) *[]string { return &c.NoBinaryPackages })
	o.names("--no-build-package", atSpaces, func(c *Choice) *[]string { return &c.NoBuildPackages })
	o.names("--no-editable-package", nil, func(c *Choice) *[]string { return &c.NoEditablePackages })
}

// uvIgnored adds what changes nothing that is installed: the lock says where each package comes from.
func (o options) uvIgnored() {
	o.flags("--no-cache", "--refresh", "--no-refresh", "--reinstall", "--no-reinstall", "--compile-bytecode", "--no-compile-bytecode",
		"--native-tls", "--no-native-tls", "--system-certs", "--no-system-certs", "--no-progress", "--no-color", "--no-offline", "--isolated",
		"--no-managed-python", "--no-python-downloads", "--allow-python-downloads", "--no-frozen", "--no-locked", "--no-upgrade", "--no-active",
		"--no-check", "--no-preview", "--build-isolation", "--no-require-build-hashes")
	o.alias("--no-cache", "-n", "--no-cache-dir")
	o.alias("--reinstall", "--force-reinstall")
	o.alias("--compile-bytecode", "--compile")
	o.alias("--no-compile-bytecode", "--no-compile")
	for _, n := range []string{"--quiet", "--verbose"} {
		o[n] = option{name: n, again: true}
		o.alias(n, n[1:3])
	}
	for name, values := range map[string][]string{
		"--cache-dir": nil, "--index-url": nil, "--default-index": nil,
		"--index-strategy":    {"first-index", "unsafe-first-match", "unsafe-best-match"},
		"--keyring-provider":  {"disabled", "subprocess"},
		"--link-mode":         {"clone", "copy", "hardlink", "symlink"},
		"--color":             {"auto", "always", "never"},
		"--output-format":     {"text", "json"},
		"--python-preference": {"only-managed", "managed", "system", "only-system"},
		"--python-fetch":      {"automatic", "manual", "never"},
	} {
		o[name] = option{name: name, value: true, oneOf: values}
	}
	o.alias("--index-url", "-i")
	for _, name := range []string{"--index", "--extra-index-url", "--find-links", "--allow-insecure-host", "--reinstall-package", "--refresh-package"} {
		o[name] = option{name: name, value: true, again: true}
	}
	o.alias("--find-links", "-f")
	o.alias("--allow-insecure-host", "--trusted-host")
}

// uvRefused adds what uv knows and what is not gone by here, with the reason.
func (o options) uvRefused() {
	o.refused(ArgsError{Reason: "is what flytekit adds itself, and uv takes it only once", Hint: "leave it out"}, "--locked", "--no-dev", "--no-install-project")
	o.refused(ArgsError{Reason: "cannot be used with --locked, which flytekit adds", Hint: "leave it out: a lock is taken as it is"}, "--frozen", "--upgrade", "-U")
	o.refused(ArgsError{Reason: "asks for another lock, and --locked, which flytekit adds, forbids that", Hint: "run `uv lock` with it and leave it out here"},
		"--upgrade-package", "-P", "--upgrade-group", "--no-index")
	o.refused(ArgsError{Reason: "cannot be used with --no-dev, which flytekit adds", Hint: "give the group another name than dev"}, "--only-dev")
	o.refused(ArgsError{Reason: "cannot be used with --no-install-project, which flytekit adds"}, "--only-install-project")
	o.refused(ArgsError{Unsupported: true, Reason: "decides how uv locks, and uv refuses a lock that was made otherwise",
		Hint: "leave it out: the lock keeps what it was made with; set it in [tool.uv] and run `uv lock` to change that"},
		"--resolution", "--prerelease", "--pre", "--prerelease-package", "--fork-strategy", "--exclude-newer", "--exclude-newer-package",
		"--no-sources", "--no-sources-package")
	o.refused(ArgsError{Unsupported: true, Reason: "decides how packages are built, which is not passed on", Hint: "depend on wheels, or set it in the package's own pyproject.toml"},
		"--config-setting", "--config-settings", "-C", "--config-settings-package", "--no-build-isolation", "--no-build-isolation-package", "--require-build-hashes")
	o.refused(ArgsError{Unsupported: true, Reason: "chooses another Python, platform or environment than the image's", Hint: "use base_image, python_version or platform"},
		"--python", "-p", "--managed-python", "--python-platform", "--active", "--preview", "--preview-features")
	o.refused(ArgsError{Unsupported: true, Reason: "names files that flytekit's builder does not see, or leaves out [tool.uv], by which the lock was made",
		Hint: "put settings into the pyproject.toml beside the lock"}, "--script", "--directory", "--project", "--config-file", "--no-config")
	o.refused(ArgsError{Reason: "installs nothing", Hint: "leave it out"},
		"--dry-run", "--check", "--help", "-h", "--version", "-V", "--show-settings", "--offline")
	o.refused(ArgsError{Unsupported: true, Reason: "changes what is written about each package", Hint: "leave it out"}, "--no-installer-metadata")
}
