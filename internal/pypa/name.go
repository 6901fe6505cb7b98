package pypa

// NormalizeName returns the form of a package, extra or group name in which names are compared (PEP 503):
// lower case, with each run of "-", "_" and "." as one "-".
func NormalizeName(s string) string {
	if isNormal(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	run := false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '-' || c == '_' || c == '.':
			if !run {
				out = append(out, '-')
			}
			run = true
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		run = false
		out = append(out, c)
	}
	return string(out)
}

func isNormal(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c == '_' || c == '.' || 'A' <= c && c <= 'Z' || c == '-' && i > 0 && s[i-1] == '-' {
			return false
		}
	}
	return true
}
