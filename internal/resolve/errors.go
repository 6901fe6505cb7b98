package resolve

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Kind is why a resolution failed, as far as it decides what to do about it.
type Kind string

// The kinds.
const (
	NoUV         Kind = "no-uv"
	Outdated     Kind = "outdated-uv"
	Invalid      Kind = "invalid"      // the requirements cannot be read
	Unsolvable   Kind = "unsolvable"   // no set of versions satisfies them
	NeedsBuild   Kind = "needs-build"  // none does without building Packages
	Unauthorized Kind = "unauthorized" // an index wants other credentials
	Unreachable  Kind = "unreachable"  // an index cannot be reached
	TimedOut     Kind = "timed-out"
	Failed       Kind = "failed" // otherwise
)

// Error says why requirements were not pinned, in uv's words where they are uv's.
type Error struct {
	Kind     Kind
	Reason   string
	Packages []string // for NeedsBuild
	Hint     string   // what to do about it; may be empty
}

func (e *Error) Error() string {
	s := "resolve: " + e.Reason
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

const outdatedHint = "update uv: imgspecd needs one whose `uv pip compile` knows --format pylock.toml (0.7 or newer)"

// maxReason is how much of uv's explanation is told. Those of big conflicts run on for pages.
const maxReason = 2000

var (
	needsBuild = []*regexp.Regexp{
		regexp.MustCompile("Wheels are required for `([^`]+)` because building from source is disabled"),
		regexp.MustCompile("Building source distributions for `?([A-Za-z0-9._-]+)`? is disabled"),
		regexp.MustCompile("Failed to (?:download and )?build `([^` ]+)[^`]*`:? [^`]*[Bb]uilding source distributions (?:for [^ ]+ )?is disabled"),
	}
	buildDisabled = regexp.MustCompile(`[Bb]uilding source distributions (?:for [^ ]+ )?is disabled`)
	oldOption     = regexp.MustCompile(`unexpected argument|invalid value '[^']*' for '--(?:format|python-platform)`)
	unauthorized  = regexp.MustCompile(`40[13] (?:Unauthorized|Forbidden)|authentication credentials`)
	unreachable   = regexp.MustCompile(`Failed to fetch|error sending request|Could not connect|dns error|[Nn]etwork (?:connectivity|was) (?:is )?disabled|Git operation failed|client error \(Connect\)|Request failed after|operation timed out`)
	noPython      = regexp.MustCompile(`No interpreter found|No Python installation|No system Python`)
	unreadable    = regexp.MustCompile(`Couldn't parse requirement|Error parsing included file|Unsupported requirement|Failed to parse|Unexpected '|Expected |No such file`)
	unsolvable    = regexp.MustCompile(`No solution found|unsatisfiable`)
)

// explain turns what uv said, and how it ended, into an Error.
func explain(exit error, said string, j *job) *Error {
	said = redact(said)
	reason, hints := message(said)
	e := &Error{Kind: Failed, Reason: reason}
	body := strings.Join(append([]string{reason}, hints...), "\n")
	for _, re := range needsBuild {
		for _, m := range re.FindAllStringSubmatch(body, -1) {
			if !slices.Contains(e.Packages, m[1]) {
				e.Packages = append(e.Packages, m[1])
			}
		}
	}
	switch {
	case reason == "":
		e.Reason = fmt.Sprintf("uv said nothing and ended with %v", exit)
	case oldOption.MatchString(reason):
		e.Kind, e.Hint = Outdated, outdatedHint
		e.Reason, _, _ = strings.Cut(reason, " [possible values")
	case noPython.MatchString(reason):
		e.Hint = "uv needs some Python on this machine to resolve with: install one (uv python install), or set python.path"
	case len(e.Packages) > 0:
		slices.Sort(e.Packages)
		e.Kind = NeedsBuild
		e.Hint = "no wheel serves this image for " + strings.Join(e.Packages, ", ") + ", and nothing of a package is run on this machine to resolve"
	case buildDisabled.MatchString(reason): // of the project itself
		e.Kind, e.Hint = NeedsBuild, "what the project depends on is known only to its build (dynamic), and nothing is built on this machine to resolve; write the dependencies out, or use a uv.lock"
	case unauthorized.MatchString(body):
		if i := slices.IndexFunc(hints, unauthorized.MatchString); i >= 0 {
			e.Reason = hints[i] // uv's error says that there is no such package
		}
		e.Kind, e.Hint = Unauthorized, "give credentials for the index: in netrc, in UV_INDEX_<NAME>_USERNAME and _PASSWORD, or by keyring"
	case unreadable.MatchString(reason):
		e.Kind = Invalid
	case unsolvable.MatchString(reason):
		e.Kind = Unsolvable
	case unreachable.MatchString(body):
		e.Kind = Unreachable
	}
	if e.Hint == "" && len(hints) > 0 {
		e.Hint = strings.Join(hints, "; ")
	}
	if len(j.unset) > 0 {
		e.Hint = strings.TrimPrefix(e.Hint+"; ", "; ") + "the requirements use " + strings.Join(j.unset, ", ") + ", which uv gets only if resolve.env names it"
	}
	return e
}

// mark is what uv draws before its lines: "error:", "  cause:", and the boxes of older ones.
var mark = regexp.MustCompile(`^[\s×╰├─▶│]*(?:(?:error|cause|Caused by):\s*)?`)

// message returns uv's error on one line, and its hints. Warnings before it are left out.
func message(said string) (reason string, hints []string) {
	var lines []string
	started, inHint := false, false
	for l := range strings.SplitSeq(said, "\n") {
		trimmed := strings.TrimSpace(l)
		if !started && !strings.HasPrefix(trimmed, "error:") && !strings.HasPrefix(trimmed, "×") {
			continue
		}
		started = true
		if h, ok := strings.CutPrefix(strings.TrimSpace(mark.ReplaceAllString(l, "")), "hint:"); ok {
			hints = append(hints, strings.TrimSpace(h))
			inHint = true
			continue
		}
		t := strings.TrimSpace(mark.ReplaceAllString(l, ""))
		switch {
		case strings.Trim(t, "^") == "":
		case inHint:
			hints[len(hints)-1] += " " + t
		default:
			add(&lines, t, strings.Contains(l, "cause:") || strings.Contains(l, "Caused by:") || strings.Contains(l, "─▶"))
		}
	}
	reason = strings.Join(lines, " ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + " ..."
	}
	return reason, hints
}

// add appends a line; what causes the last one follows it after a colon.
func add(to *[]string, line string, cause bool) {
	if n := len(*to); n > 0 && cause {
		(*to)[n-1] = strings.TrimRight((*to)[n-1], ":") + ":"
	}
	*to = append(*to, line)
}
