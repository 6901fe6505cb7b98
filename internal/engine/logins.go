package engine

import (
	"bytes"
	"encoding/json"
	"regexp"
)

// login is the user and the password in an address. In a spec they stand in the
// addresses of indexes; flytekit needs them there, and nobody else shall see them.
var login = regexp.MustCompile(`(https?://)[^\s/"'@<>\\]+@`)

// conceal hides the logins in a text that is shown or kept.
func conceal(s string) string { return login.ReplaceAllString(s, "${1}****@") }

// concealJSON is conceal for JSON.
func concealJSON(raw json.RawMessage) json.RawMessage {
	if !bytes.Contains(raw, []byte("@")) {
		return raw
	}
	return login.ReplaceAll(raw, []byte("${1}****@"))
}
