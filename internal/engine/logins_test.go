package engine

import "testing"

func TestConceal(t *testing.T) {
	tests := map[string]string{
		"https://a:b@c/simple":                        "https://****@c/simple",
		`{"pip_index":"http://t0ken@c:80/s","x":"@"}`: `{"pip_index":"http://****@c:80/s","x":"@"}`,
		"['https://a:b%40@c', 'https://d:e@f']":       "['https://****@c', 'https://****@f']",
		"https://c/a@b mail@c":                        "https://c/a@b mail@c",
	}
	for in, want := range tests {
		if got := conceal(in); got != want {
			t.Errorf("%s became %s, not %s", in, got, want)
		}
		if got := string(concealJSON([]byte(in))); got != want {
			t.Errorf("%s became %s, not %s", in, got, want)
		}
	}
}
