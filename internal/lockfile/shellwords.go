package lockfile

import (
	"fmt"
	"strings"
)

const shellHint = "write plain arguments; quotes and backslashes are understood, expansions and further commands are not"

// shellWords splits arguments as sh does. What sh would expand, redirect or take for another command is refused, because none of that happens here.
func shellWords(s string) ([]string, error) {
	var w wordSplitter
	for _, r := range s {
		if r < ' ' && r != '\t' || r == 0x7f {
			return nil, &ArgsError{Reason: fmt.Sprintf("a line break or the control character %q is among the arguments", r), Hint: "write them on one line"}
		}
		if err := w.next(r); err != nil {
			return nil, err
		}
	}
	if w.quote != 0 || w.escaped {
		return nil, &ArgsError{Reason: "a quote is not closed, or a backslash is the last character"}
	}
	w.end()
	return w.words, nil
}

type wordSplitter struct {
	words   []string
	word    strings.Builder
	open    bool // inside a word, which may be empty so far
	quote   rune
	escaped bool
}

func (w *wordSplitter) end() {
	if w.open {
		w.words = append(w.words, w.word.String())
		w.word.Reset()
		w.open = false
	}
}

func (w *wordSplitter) add(r rune) {
	w.open = true
	w.word.WriteRune(r)
}

func (w *wordSplitter) next(r rune) error {
	switch {
	case w.escaped:
		w.escaped = false
		if w.quote == '"' && !strings.ContainsRune("$`\"\\", r) {
			w.add('\\') // inside double quotes it quotes these four only
		}
		w.add(r)
	case w.quote == '\'' && r != '\'':
		w.add(r)
	case r == '\\':
		w.escaped, w.open = true, true
	case r == '$' || r == '`':
		return notPlain(r)
	case r == w.quote:
		w.quote = 0
	case w.quote != 0:
		w.add(r)
	case r == '\'' || r == '"':
		w.quote, w.open = r, true
	case r == ' ' || r == '\t':
		w.end()
	case strings.ContainsRune(";|&<>(){}*?[]!", r), !w.open && (r == '#' || r == '~'):
		return notPlain(r)
	default:
		w.add(r)
	}
	return nil
}

func notPlain(r rune) error {
	return &ArgsError{Unsupported: true, Reason: fmt.Sprintf("the shell takes %q for more than a character", r), Hint: shellHint}
}
