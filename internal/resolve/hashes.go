package resolve

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// hashPins are the digests that requirements allow: `uv pip install` checks them when it installs, `uv pip compile` does not look at
// them (0.13.9, by experiment). As there, they count for a requirement of one version (==) or of an address; those of constraints do not.
type hashPins struct {
	of       map[string]hashPin // by normalised name
	required bool               // --require-hashes: no package may be without
}

type hashPin struct {
	version string // as written; empty for an address
	allowed []string
}

var (
	hashOption = regexp.MustCompile(`\s--hash[=\s]\s*(\S+)`)
	perLine    = regexp.MustCompile(`\s--[a-z]`) // where the options of one requirement begin
)

// readHashPins reads the digests of requirement lines whose markers hold.
func (r *Resolver) readHashPins(j *job, env pypa.Environment) (hashPins, error) {
	p := hashPins{of: map[string]hashPin{}, required: j.options.requireHashes}
	if j.options.noHashes {
		return hashPins{}, nil
	}
	for _, line := range j.composed.requirements {
		hashes := hashOption.FindAllStringSubmatch(line, -1)
		if len(hashes) == 0 && !p.required {
			continue
		}
		text := line
		if at := perLine.FindStringIndex(line); at != nil {
			text = line[:at[0]]
		}
		req, err := pypa.ParseRequirement(r.expand(text))
		if err != nil { // uv knows forms that have no name: an address alone
			return p, &Error{Kind: Invalid, Reason: redact(err.Error()), Hint: "what has a hash must have a name"}
		}
		if !req.Marker.Eval(env.Markers()) {
			continue
		}
		pin := hashPin{version: req.Specifiers.Pin()}
		for _, m := range hashes {
			pin.allowed = append(pin.allowed, strings.ToLower(m[1]))
		}
		switch {
		case pin.version == "" && req.URL == "" && p.required:
			return p, requireHashes(req.Name + " has no version pinned with ==")
		case len(pin.allowed) == 0 && p.required:
			return p, requireHashes(req.Name + " has no hash")
		case len(pin.allowed) == 0, pin.version == "" && req.URL == "":
			continue
		}
		p.of[pypa.NormalizeName(req.Name)] = pin
	}
	return p, nil
}

func requireHashes(what string) *Error {
	return &Error{Kind: Invalid, Reason: "--require-hashes asks for a hash of every package, but " + what}
}

// keep takes out of a lock the files whose digests are not allowed. A package that has none left is an error.
func (p hashPins) keep(lock []byte) ([]byte, error) {
	if len(p.of) == 0 && !p.required {
		return lock, nil
	}
	var doc map[string]any
	if err := toml.Unmarshal(lock, &doc); err != nil {
		return nil, &Error{Kind: Failed, Reason: fmt.Sprintf("read what uv resolved: %v", err)}
	}
	packages, _ := doc["packages"].([]any)
	for _, item := range packages {
		entry, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if err := p.keepOf(entry); err != nil {
			return nil, err
		}
	}
	kept, err := toml.Marshal(doc)
	if err != nil {
		return nil, &Error{Kind: Failed, Reason: fmt.Sprintf("write what uv resolved: %v", err)}
	}
	return kept, nil
}

func (p hashPins) keepOf(entry map[string]any) error {
	name, _ := entry["name"].(string)
	version, _ := entry["version"].(string)
	pin, ok := p.of[pypa.NormalizeName(name)]
	if ok && pin.version != "" && !sameVersion(pin.version, version) {
		ok = false // an override chose another
	}
	if !ok {
		if p.required {
			return requireHashes(name + " " + version + " is needed besides, and no requirement pins it")
		}
		return nil
	}
	left := 0
	wheels, _ := entry["wheels"].([]any)
	if wheels = slices.DeleteFunc(wheels, func(file any) bool { return !pin.allows(file) }); len(wheels) > 0 {
		entry["wheels"] = wheels
		left++
	} else {
		delete(entry, "wheels")
	}
	for _, one := range []string{"sdist", "archive"} {
		switch file, there := entry[one]; {
		case there && pin.allows(file):
			left++
		case there:
			delete(entry, one)
		}
	}
	if left == 0 {
		return &Error{Kind: Invalid, Reason: fmt.Sprintf("no file of %s %s has a hash that the requirements allow", name, version),
			Hint: "what is offered is not what was pinned: do not install it before you know why, then pin the hashes anew"}
	}
	return nil
}

// allows reports whether one of a file's digests is among those that are pinned.
func (p hashPin) allows(file any) bool {
	table, _ := file.(map[string]any)
	hashes, _ := table["hashes"].(map[string]any)
	for algorithm, digest := range hashes {
		text, _ := digest.(string)
		if slices.Contains(p.allowed, algorithm+":"+strings.ToLower(text)) {
			return true
		}
	}
	return false
}

func sameVersion(a, b string) bool {
	x, err := pypa.ParseVersion(a)
	y, err2 := pypa.ParseVersion(b)
	return err == nil && err2 == nil && x.Compare(y) == 0
}
