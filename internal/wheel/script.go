package wheel

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// script is one console or GUI script of entry_points.txt.
type script struct{ name, module, function string }

// A reference to an object, with extras, which installers ignore.
var reference = regexp.MustCompile(`^([\pL\pM\p{Nd}\p{Pc}\-.]+)\s*:\s*([\pL\pM\p{Nd}\p{Pc}\-.]+)(?:\s*\[\s*(?:[^,]+,?\s*)+\])?\s*$`)

// parseScripts reads the launchers out of entry_points.txt: those of the console,
// then those of a window system, which on Linux are the same.
func parseScripts(text []byte, minor string) ([]script, error) {
	if !utf8.Valid(text) {
		return nil, refuse("it is not UTF-8")
	}
	sections, err := parseINI(string(text))
	if err != nil {
		return nil, err
	}
	var lists [2][]script
	for i, section := range []string{"console_scripts", "gui_scripts"} {
		for _, o := range sections[section] {
			s, err := parseReference(o.name, o.value)
			if err != nil {
				return nil, refuse("[%s] %s: %v", section, o.name, err)
			}
			lists[i] = append(lists[i], s)
		}
	}
	return append(versionedPip(lists[0], minor), lists[1]...), nil
}

func parseReference(name, value string) (script, error) {
	m := reference.FindStringSubmatch(value)
	if m == nil {
		return script{}, fmt.Errorf("%q is not of the form module:function", value)
	}
	return script{name: name, module: m[1], function: m[2]}, nil
}

// versionedPip gives pip the launcher pip3.<minor> of the Python at hand, whatever
// version its wheel was built with, as pip and uv do.
func versionedPip(list []script, minor string) []script {
	var kept []script
	var pip3 *script
	for _, s := range list {
		if v, ok := strings.CutPrefix(s.name, "pip3."); ok {
			if _, err := strconv.ParseUint(v, 10, 8); err == nil {
				continue
			}
		}
		kept = append(kept, s)
		if s.name == "pip3" {
			pip3 = &kept[len(kept)-1]
		}
	}
	if pip3 != nil {
		kept = append(kept, script{name: "pip3." + minor, module: pip3.module, function: pip3.function})
	}
	return kept
}

// launcher is the file that starts a script: to the byte what uv writes.
func (s script) launcher(interpreter string) []byte {
	imported, _, _ := strings.Cut(s.function, ".")
	return fmt.Appendf(nil, `%s
# -*- coding: utf-8 -*-
import sys
from %s import %s
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit(%s())
`, shebang(interpreter), s.module, imported, s.function)
}

// shebang goes through sh where the kernel would not take the path: over 127 bytes, or with a space.
func shebang(interpreter string) string {
	if len(interpreter)+3 <= 127 && !strings.Contains(interpreter, " ") {
		return "#!" + interpreter
	}
	quoted := strings.ReplaceAll(interpreter, `'`, `'"'"'`)
	return "#!/bin/sh\n'''exec' '" + quoted + "' \"$0\" \"$@\"\n' '''"
}

// checkScriptName refuses names of launchers and scripts that are no plain file
// name, or that would replace the venv's own interpreter.
func checkScriptName(name string) error {
	switch {
	case name == "" || name == "." || name == "..", strings.ContainsAny(name, "/\\"), path.Base(name) != name:
		return fmt.Errorf("script name %q is not a plain file name", name)
	case strings.IndexFunc(name, func(r rune) bool { return unicode.Is(unicode.C, r) }) >= 0, !utf8.ValidString(name):
		return fmt.Errorf("script name %q holds control characters", name)
	case strings.HasPrefix(name, ".wh."):
		return fmt.Errorf("script name %q would delete files of the layers below (.wh.)", name)
	case len(name) > 255:
		return fmt.Errorf("script name %.20q... is longer than 255 bytes", name)
	case reserved(name):
		return fmt.Errorf("script name %q is the interpreter's", name)
	}
	return nil
}

// reserved are the names by which a venv has its interpreter, on any platform.
func reserved(name string) bool {
	name = strings.ToLower(name)
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".exe"), ".py")
	switch name {
	case "python", "pythonw", "python3", "graalpy", "pypy", "pypy2", "pypy3":
		return true
	}
	minor, ok := strings.CutPrefix(strings.TrimSuffix(name, "t"), "python3.")
	if !ok {
		minor, ok = strings.CutPrefix(strings.TrimSuffix(name, "t"), "pythonw3.")
	}
	_, err := strconv.ParseUint(minor, 10, 8)
	return ok && err == nil
}
