package resolve

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// options is what pip_index, pip_extra_index_url and pip_extra_args come to. Addresses are apart from the rest, because
// they may hold credentials and so must not stand on a command line.
type options struct {
	args      []string
	index     string // the default index; empty: none is named
	extra     []string
	findLinks []string
	files     []optionFile
	renew     []string // which installed versions do not count
	exact     bool     // what is installed and not required goes

	requireHashes bool // no package may be without
	noHashes      bool // none is checked
}

// optionFile is a file that -r, -c or --override names.
type optionFile struct {
	name string
	role role
}

// kind is what becomes of an option of `uv pip install` when packages are only resolved.
type kind int

const (
	drop      kind = iota // a matter of installing
	dropValue             // likewise, with a value
	pass
	passValue
	indexValue
	extraValue
	linksValue
	fileValue // a file that decides the answer too
	renew     // installed versions do not count
	renewValue
	exact
	hashesRequired
	hashesIgnored
)

// known are the options that pip_extra_args may hold, by the name that uv knows them by.
var known = map[string]kind{
	"--index-url": indexValue, "-i": indexValue, "--default-index": indexValue,
	"--extra-index-url": extraValue, "--index": extraValue,
	"--find-links": linksValue, "-f": linksValue,
	"--requirement": fileValue, "--requirements": fileValue, "-r": fileValue,
	"--constraint": fileValue, "--constraints": fileValue, "-c": fileValue,
	"--override": fileValue, "--overrides": fileValue,
	"--no-index": pass, "--no-deps": pass, "--pre": pass, "--no-sources": pass, "--native-tls": pass, "--system-certs": pass,
	"--prerelease": passValue, "--resolution": passValue, "--index-strategy": passValue,
	"--exclude-newer": passValue, "--only-binary": passValue, "--no-binary": passValue, "--torch-backend": passValue,
	"--no-build": drop, "--require-hashes": hashesRequired, "--no-verify-hashes": hashesIgnored, "--verify-hashes": drop,
	"--upgrade": renew, "-U": renew, "--reinstall": renew, "--force-reinstall": renew, "--exact": exact,
	"--upgrade-package": renewValue, "-P": renewValue, "--reinstall-package": renewValue, "--compile-bytecode": drop, "--compile": drop,
	"--no-compile-bytecode": drop, "--no-compile": drop, "--no-cache": drop, "--no-cache-dir": drop, "-n": drop, "--system": drop,
	"--break-system-packages": drop, "--no-build-isolation": drop, "--quiet": drop, "-q": drop, "--verbose": drop, "-v": drop,
	"--strict": drop, "--no-progress": drop, "--refresh": drop, "--no-config": drop,
	"--link-mode": dropValue, "--cache-dir": dropValue, "--color": dropValue,
	"--keyring-provider": dropValue, // what runs here is the user's to say: index.keyring
	"--refresh-package":  dropValue, "--config-setting": dropValue, "--config-settings": dropValue,
	"--no-build-isolation-package": dropValue, "--no-build-package": dropValue,
}

// options reads the request's own.
func (req Request) options() (options, error) {
	o := options{index: req.PipIndex, extra: slices.Clone(req.PipExtraIndexURL)}
	words, err := split(req.PipExtraArgs)
	if err != nil {
		return o, &Error{Kind: Invalid, Reason: fmt.Sprintf("read pip_extra_args: %v", err)}
	}
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		name, value, given := strings.Cut(w, "=")
		k, ok := known[name]
		if !ok && len(w) > 2 && w[0] == '-' && w[1] != '-' { // -ihttps://...
			name, value, given = w[:2], w[2:], true
			k, ok = known[name]
		}
		if !ok {
			return o, unknownOption(name)
		}
		if !k.flag() && !given {
			if len(words) == 0 {
				return o, &Error{Kind: Invalid, Reason: fmt.Sprintf("pip_extra_args: %s has no value", name)}
			}
			value, words = words[0], words[1:]
		}
		o.take(k, name, value)
	}
	return o, nil
}

// flag reports an option without a value.
func (k kind) flag() bool {
	return k == drop || k == pass || k == renew || k == exact || k == hashesRequired || k == hashesIgnored
}

func unknownOption(name string) *Error {
	e := &Error{
		Kind: Invalid, Reason: fmt.Sprintf("pip_extra_args: imgspecd cannot go by %s", redact(name)),
		Hint: "what it means for resolving is not known, so it is not ignored; leave it out, or have the default builder build this image",
	}
	if name == "--trusted-host" || name == "--allow-insecure-host" {
		e.Hint = "a project must not decide whom this machine trusts; name the host's certificate in tls.ca_bundle"
	}
	return e
}

func (o *options) take(k kind, name, value string) {
	switch k {
	case drop, dropValue:
	case pass:
		o.args = append(o.args, name)
	case renew:
		o.renew = append(o.renew, "--upgrade")
	case renewValue:
		o.renew = append(o.renew, "--upgrade-package="+value)
	case exact:
		o.exact = true
	case hashesRequired:
		o.requireHashes = true
	case hashesIgnored:
		o.noHashes = true
	case passValue:
		o.args = append(o.args, name+"="+value)
	case indexValue:
		o.index = value
	case extraValue:
		o.extra = append(o.extra, value)
	case linksValue:
		o.findLinks = append(o.findLinks, value)
	case fileValue:
		as := asRequirements
		switch {
		case strings.HasPrefix(name, "-c"), strings.HasPrefix(name, "--c"):
			as = asConstraints
		case strings.HasPrefix(name, "--o"):
			as = asOverrides
		}
		o.files = append(o.files, optionFile{value, as})
	}
}

// split takes a command line apart as a shell does, without expanding anything.
func split(s string) ([]string, error) {
	var out []string
	var word strings.Builder
	open, quote := false, rune(0)
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			open, escaped = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			open, quote = true, r
		case strings.ContainsRune(" \t\r\n", r):
			if open {
				out = append(out, word.String())
				word.Reset()
				open = false
			}
		default:
			open = true
			word.WriteRune(r)
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if open {
		out = append(out, word.String())
	}
	return out, nil
}

// withUser is a web address that holds credentials.
var withUser = regexp.MustCompile(`https?://[^\s/"'@<>]+@[^\s"'<>;,]+`)

// user is what stands between // and @ in a web address.
var user = regexp.MustCompile(`(https?://)[^\s/"'@<>]+@`)

// redact takes credentials out of the web addresses in s.
func redact(s string) string { return user.ReplaceAllString(s, "$1") }

// clean takes credentials out of a lock.
func clean(lock []byte) []byte { return user.ReplaceAll(lock, []byte("$1")) }
