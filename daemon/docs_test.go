package daemon_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/daemon"
)

// Every example of docs/api.md is a route that exists, with a body that the
// server would take and an answer of that route's type; and no route lacks one.
func TestDocsAreInStep(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := slices.Clone(routes)
	for _, block := range regexp.MustCompile("(?s)```console\n(\\$ curl [^\n]*)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		command, answer := block[1], block[2]
		u, err := url.Parse(regexp.MustCompile(`http://[^" ]+`).FindString(command))
		if err != nil {
			t.Fatal(err)
		}
		method, body := "GET", ""
		if m := regexp.MustCompile(`-d '(.*)'`).FindStringSubmatch(command); m != nil {
			method, body = "POST", m[1]
		}
		if m := regexp.MustCompile(`-X (\w+)`).FindStringSubmatch(command); m != nil {
			method = m[1]
		}
		name, in, out, query, ok := daemon.FindRoute(method, u.Path)
		if !ok {
			t.Errorf("no route: %s", command)
			continue
		}
		missing = slices.DeleteFunc(missing, func(r string) bool { return r == name })
		for q := range u.Query() {
			if !slices.Contains(query, q) {
				t.Errorf("no parameter %s: %s", q, command)
			}
		}
		strictly(t, command, body, in)
		strictly(t, command, answer, out)
	}
	if len(missing) > 0 {
		t.Errorf("no example of %s", strings.Join(missing, ", "))
	}
}

// strictly decodes each JSON value of text as a typ, which has every field in it.
func strictly(t *testing.T, command, text string, typ reflect.Type) {
	t.Helper()
	if typ == nil {
		if strings.TrimSpace(text) != "" {
			t.Errorf("%s: takes or gives no JSON", command)
		}
		return
	}
	dec := json.NewDecoder(bytes.NewBufferString(text))
	dec.DisallowUnknownFields()
	n := 0
	for ; dec.More(); n++ {
		if err := dec.Decode(reflect.New(typ).Interface()); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	if n == 0 {
		t.Errorf("%s: lacks %s", command, typ)
	}
}
