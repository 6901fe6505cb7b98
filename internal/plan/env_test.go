package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/base"
)

var instructionsBefore = variables{"PATH=/bin", "A=1", "EMPTY="}

var instructions = []struct {
	line string
	want []string // what is added or changed; nil: an error
}{
	{`B=2`, []string{"B=2"}},
	{`B="a b" C='c d'`, []string{"B=a b", "C=c d"}},
	{`B=a\ b`, []string{"B=a b"}},
	{`B=a b`, nil},
	{`B=a c=d`, []string{"B=a", "c=d"}},
	{`B=`, []string{"B="}},
	{`B=""`, []string{"B="}},
	{`=x`, nil},
	{`"=x"`, nil},
	{`A=2 B=$A`, []string{"A=2", "B=1"}}, // one instruction sees what was before it
	{`B=$A$A C=${A}x D=$NONE.`, []string{"B=11", "C=1x", "D=."}},
	{`B='$A' C="$A" D=\$A E="\$A"`, []string{"B=$A", "C=1", "D=$A", "E=$A"}},
	{`B=${A:-x} C=${NONE:-x} D=${EMPTY:-x} E=${EMPTY-x} F=${NONE:-}`, []string{"B=1", "C=x", "D=x", "E=", "F="}},
	{`B=${A:+x} C=${NONE:+x} D=${EMPTY+x}`, []string{"B=x", "C=", "D=x"}},
	{`B=${NONE:-${A}y} C=${NONE:-"$A z"}`, []string{"B=1y", "C=1 z"}},
	{`B=${NONE:?gone}`, nil},
	{`B=${A:?gone}`, []string{"B=1"}},
	{`B=${A`, nil},
	{`B=${}`, nil},
	{`B=${A#x}`, nil},
	{`B="a`, nil},
	{`B='a`, nil},
	{`B=$ C=a$`, []string{"B=$", "C=a$"}},
	{`B="a\nb" C=a\nb`, []string{`B=a\nb`, "C=anb"}},
	{`B='it'"'"'s'`, []string{"B=it's"}},
	{`B=é$A`, []string{"B=é1"}},
	{`PATH=/x:$PATH`, []string{"PATH=/x:/bin"}},
	{`B=1  	C=2`, []string{"B=1", "C=2"}},
	{`B=http://a?b=c&d=e`, []string{"B=http://a?b=c&d=e"}},
	{`B={"a":1}`, []string{"B={a:1}"}},
	{`B='{"a": 1}'`, []string{`B={"a": 1}`}},
	{`$A=x`, []string{"1=x"}},
	{`B=$1x`, []string{"B=x"}},
}

func TestInstruction(t *testing.T) {
	for _, c := range instructions {
		got := slices.Clone(instructionsBefore)
		err := got.instruction(c.line)
		if c.want == nil {
			if err == nil {
				t.Errorf("ENV %s: no error, got %q", c.line, got)
			}
			continue
		}
		want := slices.Clone(instructionsBefore)
		for _, e := range c.want {
			name, value, _ := strings.Cut(e, "=")
			want.set(name, value)
		}
		if err != nil {
			t.Errorf("ENV %s: %v", c.line, err)
		} else if diff := cmp.Diff([]string(want), []string(got)); diff != "" {
			t.Errorf("ENV %s:\n%s", c.line, diff)
		}
	}
}

const (
	basePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	allPath  = "/root/.venv/bin:/opt/micromamba/envs/runtime/bin:" + basePath + ":/usr/local/nvidia/bin:/usr/local/cuda/bin"
)

func TestEnvironment(t *testing.T) {
	middle := []string{"UV_PYTHON=/root/.venv/bin/python", "UV_COMPILE_BYTECODE=1", "UV_LINK_MODE=copy",
		"FLYTE_SDK_RICH_TRACEBACKS=0", "SSL_CERT_DIR=/etc/ssl/certs"}
	join := func(parts ...any) []string {
		var out []string
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				out = append(out, p)
			case []string:
				out = append(out, p...)
			}
		}
		return out
	}
	const cuda, id = "LD_LIBRARY_PATH=/usr/local/nvidia/lib64:", "_F_IMG_ID=the-id"
	for _, c := range []struct {
		name string
		base []string
		spec string
		want []string
	}{
		{"plain", []string{"PATH=" + basePath}, `{"requirements": "uv.lock"}`, join("PATH="+allPath, middle, "PYTHONPATH=/root", cuda, id)},
		{"no PATH in the base", nil, `{"requirements": "uv.lock"}`, join("PATH="+allPath, middle, "PYTHONPATH=/root", cuda, id)},
		{"base's own stay in place", []string{"LANG=C.UTF-8", "PATH=" + basePath, "LD_LIBRARY_PATH=/x", "UV_LINK_MODE=hardlink"}, `{"requirements": "uv.lock"}`,
			join("LANG=C.UTF-8", "PATH="+allPath, cuda+"/x", "UV_LINK_MODE=copy", "UV_PYTHON=/root/.venv/bin/python", "UV_COMPILE_BYTECODE=1",
				"FLYTE_SDK_RICH_TRACEBACKS=0", "SSL_CERT_DIR=/etc/ssl/certs", "PYTHONPATH=/root", id)},
		{"user's", []string{"PATH=" + basePath}, `{"requirements": "uv.lock", "env": {"B": "2", "A": "$PATH", "PYTHONPATH": "/root:/src", "_F_IMG_ID": "no"}}`,
			join("PATH="+allPath, middle, "PYTHONPATH=/root:/src", "B=2", "A="+basePath, id, cuda)},
		{"user's PATH", []string{"PATH=" + basePath}, `{"requirements": "uv.lock", "env": {"PATH": "/mine:$PATH", "UV_PYTHON": "/p"}}`,
			join("PATH=/root/.venv/bin:/mine:"+basePath+":/usr/local/nvidia/bin:/usr/local/cuda/bin", middle, "PYTHONPATH=/root", cuda, id)},
		{"packages", []string{"PATH=" + basePath}, `{"packages": ["x"], "env": {"B": "2"}}`,
			join("PATH="+runtimeBin+":"+basePath+":/usr/local/nvidia/bin:/usr/local/cuda/bin", "UV_PYTHON="+runtimeBin+"/python", middle[1:], "PYTHONPATH=/root", "B=2", cuda, id)},
		{"poetry", []string{"PATH=" + basePath}, `{"requirements": "poetry.lock"}`,
			join("PATH="+allPath, middle, "PYTHONPATH=/root", "POETRY_CACHE_DIR=/tmp/poetry_cache", "POETRY_VIRTUALENVS_IN_PROJECT=true", cuda, id)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := environment(Input{Spec: spec(t, c.spec), ID: "the-id", Base: base.Info{Env: c.base}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, []string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, bad := range []string{`{"env": {"A": "a b"}}`, `{"env": {"A": "a\nB=1"}}`, `{"env": {"A": "x\\"}}`, `{"env": {"A": "'"}}`} {
		_, err := environment(Input{Spec: spec(t, bad)})
		var invalid *Invalid
		if !errors.As(err, &invalid) || invalid.Field != "env" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
