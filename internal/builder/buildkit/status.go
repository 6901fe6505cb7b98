package buildkit

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	"google.golang.org/grpc/status"
)

// tailLines is how many of its last lines a failed step is told with.
const tailLines = 12

// StepError is a step that ended badly by itself.
type StepError struct {
	Code int      // its exit code
	Tail []string // the last lines that it wrote
}

func (e *StepError) Error() string {
	text := "exit code " + strconv.Itoa(e.Code)
	if len(e.Tail) > 0 {
		text += ": " + e.Tail[len(e.Tail)-1]
	}
	return text
}

// SolveError is what kept BuildKit from executing a step: an image or a repository that it could not get, or a fault of its own.
type SolveError struct{ Err error }

func (e *SolveError) Error() string { return strings.TrimPrefix(e.Err.Error(), "failed to solve: ") }
func (e *SolveError) Unwrap() error { return e.Err }

// PlatformError is a step for a machine that BuildKit cannot be.
type PlatformError struct {
	Platform string
	From     string
	Has      []string
}

func (e *PlatformError) Error() string {
	return fmt.Sprintf("the BuildKit of %s executes nothing for %s, only for %s", e.From, e.Platform, strings.Join(e.Has, ", "))
}

// watcher reads what BuildKit tells of a solve.
type watcher struct {
	title   string
	out     func(line string)
	partial map[string][]byte // lines that have not ended, by vertex and stream
	tail    []string
	started map[string]bool
	cached  bool // the step's own vertex was
}

func (w *watcher) see(s *client.SolveStatus) {
	if w.started == nil {
		w.started, w.partial = map[string]bool{}, map[string][]byte{}
	}
	for _, v := range s.Vertexes {
		if v.Name == w.title && v.Cached {
			w.cached = true
		}
		if v.Cached || v.Started == nil || w.started[v.Digest.String()] {
			continue
		}
		w.started[v.Digest.String()] = true
		w.say("=> " + v.Name)
	}
	for _, l := range s.Logs {
		key := l.Vertex.String() + strconv.Itoa(l.Stream)
		text := append(w.partial[key], l.Data...)
		for {
			line, rest, ended := bytes.Cut(text, []byte("\n"))
			if !ended {
				break
			}
			w.line(string(line))
			text = rest
		}
		w.partial[key] = text
	}
}

// line passes on what a step wrote. A line that rewrites itself is told as it stands in the end.
func (w *watcher) line(s string) {
	s = strings.TrimRight(s, "\r")
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	w.say(s)
	if strings.TrimSpace(s) == "" {
		return
	}
	if w.tail = append(w.tail, s); len(w.tail) > tailLines {
		w.tail = w.tail[1:]
	}
}

func (w *watcher) say(s string) {
	if w.out != nil {
		w.out(s)
	}
}

// exitCode is how BuildKit words it that a step ended badly: "process ... did not complete successfully: exit code: 2"
// now, "executor failed running [...]: exit code: 2" in 20.10.
var exitCode = regexp.MustCompile(`exit code: (\d+)`)

// failure is a failed solve.
func (w *watcher) failure(err error) error {
	for _, text := range w.partial {
		if len(text) > 0 {
			w.line(string(text))
		}
	}
	if m := exitCode.FindStringSubmatch(err.Error()); m != nil {
		code, _ := strconv.Atoi(m[1])
		return &StepError{Code: code, Tail: w.tail}
	}
	return &SolveError{plainly(err)}
}

// plainly takes gRPC's wrapping off an error.
func plainly(err error) error {
	if s, ok := status.FromError(err); ok && s.Message() != "" {
		return errors.New(s.Message())
	}
	return err
}
