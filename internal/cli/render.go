package cli

import (
	"encoding/json"
	"fmt"
)

// printJSON writes one value: indented on a terminal, on one line elsewhere.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.Stdout)
	e.SetEscapeHTML(false)
	if a.out.tty {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}

// printLine writes one value of a stream, always on one line.
func (a *app) printLine(v any) error {
	e := json.NewEncoder(a.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// print writes v with --json, text without.
func (a *app) print(v any, text string) error {
	if a.json {
		return a.printJSON(v)
	}
	_, err := fmt.Fprint(a.Stdout, text)
	return err
}
