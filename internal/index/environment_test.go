package index

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFromEnvironment(t *testing.T) {
	for name, tt := range map[string]struct {
		env  []string
		want Settings
	}{
		"nothing": {[]string{"HOME=/h", "UV_INDEX="}, Settings{}},
		"uv": {
			[]string{
				"UV_DEFAULT_INDEX=https://d/simple", "UV_INDEX_URL=https://old/simple", "UV_INDEX=corp=https://c/s?a=b https://x=y/s",
				"UV_EXTRA_INDEX_URL=https://e/s", "UV_INDEX_CORP_USERNAME=u", "UV_INDEX_CORP_PASSWORD=p=q", "PIP_INDEX_URL=https://pip", "PIP_EXTRA_INDEX_URL=https://pip2",
				"UV_KEYRING_PROVIDER=subprocess",
			},
			Settings{
				Default: "https://d/simple", Extra: []Index{{"corp", "https://c/s?a=b"}, {"", "https://x=y/s"}, {"", "https://e/s"}},
				Named: []NamedLogin{{"CORP", "u", "p=q"}}, Keyring: true,
			},
		},
		"pip": {
			[]string{"PIP_INDEX_URL=https://pip", "PIP_EXTRA_INDEX_URL=https://pip2 https://pip3"},
			Settings{Default: "https://pip", Extra: []Index{{"", "https://pip2"}, {"", "https://pip3"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, FromEnvironment(tt.env)); d != "" {
				t.Error(d)
			}
		})
	}
	named := FromEnvironment([]string{"UV_DEFAULT_INDEX=house=https://h/simple", "UV_INDEX=https://x"}).Indexes()
	if d := cmp.Diff([]Index{{"", "https://x"}, {"house", "https://h/simple"}}, named); d != "" {
		t.Error(d) // by its name it has a login
	}
	if got := (Settings{}).Indexes(); len(got) != 1 || got[0].URL != PyPI {
		t.Errorf("indexes %v", got)
	}
}

func TestFromPyproject(t *testing.T) {
	got, err := FromPyproject([]byte(`
[[tool.uv.index]]
name = "corp"
url = "https://c/simple"
explicit = true
[[tool.poetry.source]]
name = "old"
url = "https://o/simple"
priority = "explicit"
[[tool.poetry.source]]
name = "PyPI"
`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Index{{"corp", "https://c/simple"}, {"old", "https://o/simple"}}, got); d != "" {
		t.Error(d)
	}
}
