package wheel

import (
	"strings"
	"testing"
)

// FuzzMetadata is for METADATA and WHEEL, which have one form.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nDescription: a\n  b\n\tc\n\nbody: x\n"))
	f.Add([]byte(" x\n: y\nName:\r\n  z\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for key, values := range parseFields(text) {
			if strings.ToLower(key) != key || strings.Contains(key, ":") || len(values) == 0 {
				t.Errorf("field %q: %q", key, values)
			}
			for _, v := range values {
				if v != strings.TrimSpace(v) || strings.ContainsAny(v, "\n") {
					t.Errorf("field %q holds %q", key, v)
				}
			}
		}
	})
}
