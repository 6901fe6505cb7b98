package imagespec

import (
	"crypto/md5"
	"encoding/base64"
	"strings"
)

// idText is the text that flytekit hashes: str() of the dict of the fields that are not None,
// without those that shall not change the image. The spec is constructed.
func (s Spec) idText(r rule) string {
	var b strings.Builder
	writeFields(&b, s, r)
	return b.String()
}

func writeFields(b *strings.Builder, s Spec, r rule) {
	b.WriteString("{")
	first := true
	for _, f := range fieldNames {
		v := s.fields[f]
		if isNone(v) || r.excluded[f] {
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		b.WriteString("'" + f + "': ")
		writeRepr(b, v, r)
	}
	b.WriteString("}")
}

// hashText is flytekit's short form of a text: 22 characters of [A-Za-z0-9_-].
func hashText(text string) string {
	sum := md5.Sum([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
