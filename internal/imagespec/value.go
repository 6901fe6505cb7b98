package imagespec

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Value is a Python value that has a text known without running Python:
// None, Bool, Int, Float, Str, List, Tuple, *Dict, Path, CopyMode or Spec.
type Value interface{ python() string } // the Python type's name

type (
	// None is Python's None.
	None struct{}
	// Bool is a Python bool.
	Bool bool
	// Int is a Python int, of any size.
	Int struct{ *big.Int }
	// Float is a Python float.
	Float float64
	// Str is a Python str in UTF-8, except that a lone surrogate (which Python allows in a
	// str) stands in it as the three bytes that UTF-8 would give its code point.
	Str string
	// List is a Python list.
	List []Value
	// Tuple is a Python tuple.
	Tuple []Value
	// Path is a pathlib.Path, normalised.
	Path string
	// CopyMode is flytekit's CopyFileDetection.
	CopyMode int
)

// The members of CopyFileDetection.
const (
	LoadedModules CopyMode = 1
	All           CopyMode = 2
	NoCopy        CopyMode = 3
)

func (m CopyMode) String() string {
	return [...]string{"", "LOADED_MODULES", "ALL", "NO_COPY"}[m]
}

func copyMode(name string) (CopyMode, bool) {
	for m := LoadedModules; m <= NoCopy; m++ {
		if m.String() == name {
			return m, true
		}
	}
	return 0, false
}

// Dict is a Python dict: it keeps the order of insertion.
type Dict struct {
	Keys   []Value
	Values []Value
	index  map[string]int
}

// NewDict returns an empty dict.
func NewDict() *Dict { return &Dict{index: map[string]int{}} }

// Set adds or replaces an entry. Equal keys (1, 1.0 and True) are one: the first key stays, the last value wins.
func (d *Dict) Set(k, v Value) error {
	h, err := hashKey(k)
	if err != nil {
		return err
	}
	if i, ok := d.index[h]; ok && h != "nan" {
		d.Values[i] = v
		return nil
	}
	d.index[h] = len(d.Keys)
	d.Keys = append(d.Keys, k)
	d.Values = append(d.Values, v)
	return nil
}

// Get returns the value at key.
func (d *Dict) Get(key string) (Value, bool) {
	i, ok := d.index["s"+key]
	if !ok {
		return nil, false
	}
	return d.Values[i], true
}

// NewInt returns a Python int.
func NewInt(n int64) Int { return Int{big.NewInt(n)} }

// NewPath returns a pathlib.Path made of s, normalised as pathlib does: "./a//b/" is "a/b", ".." stays.
func NewPath(s string) Path {
	root := ""
	switch {
	case strings.HasPrefix(s, "//") && !strings.HasPrefix(s, "///"):
		root = "//" // POSIX leaves the meaning of exactly two slashes open, and pathlib keeps them
	case strings.HasPrefix(s, "/"):
		root = "/"
	}
	var parts []string
	for p := range strings.SplitSeq(s, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	if out := root + strings.Join(parts, "/"); out != "" {
		return Path(out)
	}
	return "."
}

func (None) python() string     { return "NoneType" }
func (Bool) python() string     { return "bool" }
func (Int) python() string      { return "int" }
func (Float) python() string    { return "float" }
func (Str) python() string      { return "str" }
func (List) python() string     { return "list" }
func (Tuple) python() string    { return "tuple" }
func (*Dict) python() string    { return "dict" }
func (Path) python() string     { return "PosixPath" }
func (CopyMode) python() string { return "CopyFileDetection" }
func (Spec) python() string     { return "ImageSpec" }

// truthy is bool(v).
func truthy(v Value) bool {
	switch v := v.(type) {
	case nil, None:
		return false
	case Bool:
		return bool(v)
	case Int:
		return v.Sign() != 0
	case Float:
		return v != 0
	case Str:
		return v != ""
	case List:
		return len(v) > 0
	case Tuple:
		return len(v) > 0
	case *Dict:
		return len(v.Keys) > 0
	}
	return true
}

// isNone reports whether v is None or was not given.
func isNone(v Value) bool {
	if v == nil {
		return true
	}
	_, none := v.(None)
	return none
}

// hashKey gives equal texts to keys that are equal in Python.
func hashKey(k Value) (string, error) {
	switch k := k.(type) {
	case None:
		return "none", nil
	case Bool:
		if k {
			return "n1", nil
		}
		return "n0", nil
	case Int:
		return "n" + k.String(), nil
	case Float:
		return hashFloat(float64(k)), nil
	case Str:
		return "s" + string(k), nil
	case Path:
		return "p" + string(k), nil
	case CopyMode:
		return "e" + k.String(), nil
	case Tuple:
		var b strings.Builder
		b.WriteString("t")
		for _, e := range k {
			h, err := hashKey(e)
			if err != nil {
				return "", err
			}
			b.WriteString(strconv.Itoa(len(h)) + ":" + h)
		}
		return b.String(), nil
	case Spec:
		return "", &Unsupported{Field: "an ImageSpec as a key of a dict"}
	}
	return "", &PythonError{Type: "TypeError", Message: "unhashable type: '" + k.python() + "'"}
}

func hashFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan" // equal to nothing
	case f == math.Trunc(f) && !math.IsInf(f, 0):
		n, _ := big.NewFloat(f).Int(nil)
		return "n" + n.String()
	}
	return "f" + reprFloat(f)
}

// ParseCopyMode reads the name of a member of CopyFileDetection.
func ParseCopyMode(name string) (CopyMode, bool) { return copyMode(name) }
