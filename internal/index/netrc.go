package index

import (
	"fmt"
	"strings"
)

// Login is one entry of a netrc file.
type Login struct {
	Machine  string // host, or host:port; empty: the default entry
	Login    string
	Password string
}

// Netrc is a netrc file's entries, in order. The zero value holds none.
type Netrc []Login

// Find returns the login for a host: the first entry for HOST:PORT, else for HOST, else the default.
// With a user, only that user's.
func (n Netrc) Find(host, hostname, user string) (Login, bool) {
	for _, machine := range []string{host, hostname, ""} {
		for _, l := range n {
			if strings.EqualFold(l.Machine, machine) && (user == "" || l.Login == user) {
				return l, true
			}
		}
	}
	return Login{}, false
}

// ParseNetrc reads the content of a netrc file. Its errors name the line, never what is in it.
func ParseNetrc(data []byte) (Netrc, error) {
	s := &netrcScanner{rest: string(data), line: 1}
	var n Netrc
	for {
		word, ok, err := s.next(true)
		if err != nil {
			return nil, err
		}
		if !ok {
			return n, nil
		}
		switch word {
		case "machine":
			name, err := s.value(word)
			if err != nil {
				return nil, err
			}
			n = append(n, Login{Machine: name})
		case "default":
			n = append(n, Login{})
		case "login", "user", "password", "account":
			v, err := s.value(word)
			if err != nil {
				return nil, err
			}
			if len(n) == 0 {
				return nil, fmt.Errorf("netrc, line %d: %s stands before any machine", s.line, word)
			}
			last := &n[len(n)-1]
			switch word {
			case "login", "user":
				last.Login = v
			case "password":
				last.Password = v
			}
		case "macdef":
			s.skipMacro()
		default:
			return nil, fmt.Errorf("netrc, line %d: expected machine, default, login, password, account or macdef", s.line)
		}
	}
}

// netrcScanner splits a netrc file into words.
type netrcScanner struct {
	rest string
	line int
}

func (s *netrcScanner) value(of string) (string, error) {
	line := s.line
	v, ok, err := s.next(false)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("netrc, line %d: %s has no value", line, of)
	}
	return v, nil
}

// next returns the next word. Where a keyword is expected, a word that starts with # is a comment to the line's end;
// as a value it is itself: passwords do start with it.
func (s *netrcScanner) next(keyword bool) (word string, ok bool, err error) {
	for {
		s.skipSpace()
		if s.rest == "" {
			return "", false, nil
		}
		if !keyword || s.rest[0] != '#' {
			break
		}
		if i := strings.IndexByte(s.rest, '\n'); i >= 0 {
			s.rest = s.rest[i:]
		} else {
			s.rest = ""
		}
	}
	if s.rest[0] == '"' {
		return s.quoted()
	}
	end := strings.IndexAny(s.rest, " \t\r\n")
	if end < 0 {
		end = len(s.rest)
	}
	word, s.rest = s.rest[:end], s.rest[end:]
	return word, true, nil
}

// quoted reads "...", in which a backslash takes the next character as it is.
func (s *netrcScanner) quoted() (string, bool, error) {
	line := s.line
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch ch := s.rest[i]; ch {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), true, nil
		case '\\':
			if i++; i < len(s.rest) {
				b.WriteByte(s.rest[i])
			}
		case '\n':
			s.line++
			b.WriteByte(ch)
		default:
			b.WriteByte(ch)
		}
	}
	return "", false, fmt.Errorf("netrc, line %d: a quote is not closed", line)
}

func (s *netrcScanner) skipSpace() {
	for s.rest != "" && strings.IndexByte(" \t\r\n", s.rest[0]) >= 0 {
		if s.rest[0] == '\n' {
			s.line++
		}
		s.rest = s.rest[1:]
	}
}

// skipMacro skips a macro's name and body, which an empty line ends.
func (s *netrcScanner) skipMacro() {
	body, rest, found := strings.Cut(s.rest, "\n\n")
	s.line += strings.Count(body, "\n")
	if found {
		s.line += 2
	}
	s.rest = rest
}
