package bytecode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The minors whose code objects are known: what follows in a stream has no lengths to skip by.
const (
	oldestMinor = 8
	newestMinor = 14
)

const (
	flagRef  = 0x80
	maxDepth = 2500 // marshal's own is 2000
)

var errMarshal = errors.New("marshalled code is not understood")

// canonical writes marshalled code again so that it depends on nothing but the code.
// marshal.dumps marks an object as one that may come again (FLAG_REF) when its
// reference count is above one, which an unrelated holder in the process changes,
// and shares equal constants when they happen to be one object (cpython#129724).
// Here equal atoms are always one object, and only what does come again is marked.
// It is appended to dst.
func canonical(dst, code []byte, minor int) ([]byte, error) {
	if minor < oldestMinor || minor > newestMinor {
		return nil, fmt.Errorf("%w: of Python 3.%d", errMarshal, minor)
	}
	s := scan{in: code, minor: minor, atoms: make(map[atom]int32, len(code)/64)}
	if err := s.object(0); err != nil {
		return nil, err
	}
	if s.at != len(code) {
		return nil, fmt.Errorf("%w: %d bytes after its end", errMarshal, len(code)-s.at)
	}
	return s.write(dst), nil
}

// scan reads a stream into tokens.
type scan struct {
	in      []byte
	at      int
	minor   int
	tokens  []token
	objects []object
	refs    []int32        // by number in the input: the object
	atoms   map[atom]int32 // the object
}

// atom is the type and content of a value.
type atom struct {
	kind byte
	text string
}

// token is a piece of the stream: an object, or bytes between the parts of a code object.
type token struct {
	object   int32 // none: -1
	from, to int   // of plain bytes
}

// object is what the stream says of one: its type, and what follows before its parts.
type object struct {
	from, to int
	atom     bool // it has no parts, and stands for all that are equal
}

func (s *scan) take(n int) ([]byte, error) {
	if n < 0 || n > len(s.in)-s.at {
		return nil, fmt.Errorf("%w: it ends too soon", errMarshal)
	}
	b := s.in[s.at : s.at+n]
	s.at += n
	return b, nil
}

func (s *scan) long() (int, error) {
	b, err := s.take(4)
	if err != nil {
		return 0, err
	}
	return int(int32(binary.LittleEndian.Uint32(b))), nil
}

// object reads one object and all that is in it.
func (s *scan) object(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: it is nested too deep", errMarshal)
	}
	from := s.at
	b, err := s.take(1)
	if err != nil {
		return err
	}
	kind := b[0] &^ flagRef
	if kind == 'r' {
		return s.reference()
	}
	me, next := int32(len(s.objects)), len(s.tokens)+1
	if b[0]&flagRef != 0 {
		s.refs = append(s.refs, me)
	}
	s.tokens = append(s.tokens, token{object: me})
	s.objects = append(s.objects, object{from: from})
	parts, atom, err := s.payload(kind)
	if err != nil {
		return err
	}
	s.objects[me].to = s.at
	if atom {
		s.merge(me)
	}
	if kind == 'c' {
		return s.code(depth)
	}
	if kind == '{' {
		return s.dict(depth)
	}
	for range parts {
		if err := s.object(depth + 1); err != nil {
			return err
		}
	}
	if kind == '>' || kind == '<' {
		s.sort(s.tokens[next:], parts)
	}
	return nil
}

// sort puts the atoms of a set in an order: Python's is by what marks they have, and
// before 3.11 by their hashes.
func (s *scan) sort(members []token, parts int) {
	part := func(t token) bool { return t.object < 0 || !s.objects[t.object].atom }
	if len(members) != parts || slices.ContainsFunc(members, part) {
		return
	}
	slices.SortStableFunc(members, func(a, b token) int { return strings.Compare(s.text(a.object), s.text(b.object)) })
}

// text is an object's type and content.
func (s *scan) text(object int32) string {
	o := s.objects[object]
	return string(s.in[o.from]&^flagRef) + string(s.in[o.from+1:o.to])
}

// payload reads what follows a type, and says how many objects come then, and
// whether this one is a value that may stand for all that are equal to it.
func (s *scan) payload(kind byte) (parts int, atom bool, err error) {
	size := 0
	switch kind {
	case '0', 'N', 'F', 'T', 'S', '.', 'c', '{': // single, or of parts
		return 0, false, nil
	case 'i':
		size = 4
	case 'g', 'I':
		size = 8
	case 'y':
		size = 16
	case 'l':
		if size, err = s.long(); err != nil {
			return 0, false, err
		}
		size = 2 * max(size, -size)
	case 's', 't', 'u', 'a', 'A':
		if size, err = s.long(); err != nil {
			return 0, false, err
		}
	case 'z', 'Z':
		b, err := s.take(1)
		if err != nil {
			return 0, false, err
		}
		size = int(b[0])
	case ')':
		b, err := s.take(1)
		if err != nil {
			return 0, false, err
		}
		return int(b[0]), false, nil
	case '(', '[', '<', '>':
		parts, err = s.long()
		return parts, false, err
	case ':':
		return 3, false, nil
	default:
		return 0, false, fmt.Errorf("%w: type %q", errMarshal, kind)
	}
	_, err = s.take(size)
	return 0, true, err
}

// merge makes an atom, which was read last, the same as an equal one before it.
func (s *scan) merge(me int32) {
	s.objects[me].atom = true
	o := s.objects[me]
	kind, text := s.in[o.from]&^flagRef, s.in[o.from+1:o.to]
	first, ok := s.atoms[atom{kind, string(text)}] // copies nothing
	if !ok {
		s.atoms[atom{kind, string(text)}] = me
		return
	}
	s.tokens[len(s.tokens)-1].object = first
	if n := len(s.refs); n > 0 && s.refs[n-1] == me {
		s.refs[n-1] = first
	}
}

func (s *scan) reference() error {
	n, err := s.long()
	if err != nil {
		return err
	}
	if n < 0 || n >= len(s.refs) {
		return fmt.Errorf("%w: it refers to what was not there", errMarshal)
	}
	s.tokens = append(s.tokens, token{object: s.refs[n]})
	return nil
}

// dict reads keys and values up to the null that ends them.
func (s *scan) dict(depth int) error {
	for {
		if s.at < len(s.in) && s.in[s.at]&^flagRef == '0' {
			return s.object(depth + 1)
		}
		if err := s.object(depth + 1); err != nil {
			return err
		}
	}
}

// code reads a code object: numbers, objects, the first line's number, objects.
func (s *scan) code(depth int) error {
	numbers, before, after := 5, 8, 2
	if s.minor < 11 {
		numbers, before, after = 6, 8, 1
	}
	for _, step := range []struct{ numbers, objects int }{{numbers, before}, {1, after}} {
		from := s.at
		if _, err := s.take(4 * step.numbers); err != nil {
			return err
		}
		s.tokens = append(s.tokens, token{object: -1, from: from, to: s.at})
		for range step.objects {
			if err := s.object(depth + 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// shortest is the length of an atom up to which a repetition would be no shorter.
const shortest = 5

// write puts the tokens down again, with new marks and numbers.
func (s *scan) write(out []byte) []byte {
	uses := make([]int32, len(s.objects))
	for _, t := range s.tokens {
		if t.object >= 0 {
			uses[t.object]++
		}
	}
	numbers := make([]uint32, len(s.objects)) // from 1; 0: not written yet
	next := uint32(0)
	for _, t := range s.tokens {
		if t.object < 0 {
			out = append(out, s.in[t.from:t.to]...)
			continue
		}
		if n := numbers[t.object]; n > 0 {
			out = binary.LittleEndian.AppendUint32(append(out, 'r'), n-1)
			continue
		}
		o := s.objects[t.object]
		kind := s.in[o.from] &^ flagRef
		if uses[t.object] > 1 && (!o.atom || o.to-o.from > shortest) {
			kind |= flagRef
			next++
			numbers[t.object] = next
		}
		out = append(append(out, kind), s.in[o.from+1:o.to]...)
	}
	return out
}
