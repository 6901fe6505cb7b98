package wheel

// Scheme is where a wheel's files go and how its scripts start, all as absolute
// paths inside the image (sysconfig's "venv" scheme on Linux).
type Scheme struct {
	Prefix       string // /root/.venv; also the scheme's "data"
	SitePackages string // /root/.venv/lib/python3.11/site-packages; purelib and platlib
	Scripts      string // /root/.venv/bin
	Headers      string // /root/.venv/include/site/python3.11; the package's name is added below it
	Interpreter  string // /root/.venv/bin/python: the shebang of scripts
}
