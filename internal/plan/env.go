package plan

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/imgspecd/imgspecd/internal/imagespec"
	"github.com/imgspecd/imgspecd/internal/lockfile"
)

const (
	venvDir     = "/root/.venv"
	runtimeDir  = "/opt/micromamba/envs/runtime"
	runtimeBin  = runtimeDir + "/bin"
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// variables is an image's environment: ordered, each name once.
type variables []string

func (v variables) get(name string) (string, bool) {
	for _, e := range v {
		if n, value, _ := strings.Cut(e, "="); n == name {
			return value, true
		}
	}
	return "", false
}

// set replaces a variable where it stands, or adds it at the end, as Docker does.
func (v *variables) set(name, value string) {
	for i, e := range *v {
		if n, _, _ := strings.Cut(e, "="); n == name {
			(*v)[i] = name + "=" + value
			return
		}
	}
	*v = append(*v, name+"="+value)
}

// lockEnv is what the default builder sets for a lock, between the user's values and the last ones.
func lockEnv(spec imagespec.Spec) []string {
	if !Locked(spec) {
		return nil
	}
	venv := `PATH="` + venvDir + `/bin:$PATH" UV_PYTHON=` + venvDir + `/bin/python`
	if lockfile.Kind(spec.Requirements()) == lockfile.FormatPoetry {
		return []string{`POETRY_CACHE_DIR=/tmp/poetry_cache POETRY_VIRTUALENVS_IN_PROJECT=true`, venv}
	}
	return []string{venv}
}

// environment carries out the ENV instructions of the default builder's Dockerfile, one by one: the user's values are pasted into them without quotes,
// so what a value becomes is Docker's word.
func environment(in Input) (variables, error) {
	env := variables{}
	for _, e := range in.Base.Env {
		name, value, _ := strings.Cut(e, "=")
		env.set(name, value)
	}
	if _, ok := env.get("PATH"); !ok {
		env.set("PATH", defaultPath) // as BuildKit does for any base without one
	}
	user, err := userEnv(in.Spec)
	if err != nil {
		return nil, err
	}
	bin, python := pythonPath(in)
	first := `PATH="` + bin + `:$PATH" UV_PYTHON=` + python + ` UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy ` +
		`FLYTE_SDK_RICH_TRACEBACKS=0 SSL_CERT_DIR=/etc/ssl/certs ` + user
	if err := env.instruction(first); err != nil {
		return nil, &Invalid{Field: "env", Reason: err.Error(), Hint: "flytekit writes values into a Dockerfile without quotes; quote this one, as in '\"a b\"'"}
	}
	if err := checkDeciding(env, in.Spec); err != nil {
		return nil, err
	}
	for _, line := range append(lockEnv(in.Spec),
		`PATH="$PATH:/usr/local/nvidia/bin:/usr/local/cuda/bin" LD_LIBRARY_PATH="/usr/local/nvidia/lib64:$LD_LIBRARY_PATH"`,
		`_F_IMG_ID=`+in.ID,
	) {
		if err := env.instruction(line); err != nil {
			return nil, fmt.Errorf("evaluate ENV %s: %w", line, err)
		}
	}
	return env, nil
}

// userEnv is the user's part of the first ENV instruction.
func userEnv(spec imagespec.Spec) (string, error) {
	python := "/root"
	var rest []string
	for _, kv := range spec.Env() {
		if strings.ContainsAny(kv[0]+kv[1], "\n\r") {
			return "", &Invalid{Field: "env", Reason: "the value of " + kv[0] + " holds a line break, which ends the instruction in flytekit's Dockerfile"}
		}
		if kv[0] == "PYTHONPATH" {
			python = kv[1]
			continue
		}
		rest = append(rest, kv[0]+"="+kv[1])
	}
	line := strings.Join(append([]string{"PYTHONPATH=" + python}, rest...), " ")
	if strings.HasSuffix(strings.TrimRight(line, " \t"), `\`) {
		return "", &Invalid{Field: "env", Reason: "the last value ends in a backslash, which joins the next instruction in flytekit's Dockerfile"}
	}
	return line, nil
}

// instruction carries out "ENV line" of a Dockerfile. All values of one
// instruction see the variables as they were before it.
func (v *variables) instruction(line string) error {
	before := append(variables{}, *v...)
	for _, word := range envWords(line) {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%q is no NAME=VALUE", word)
		}
		name, err := before.expand(name)
		if err != nil {
			return err
		}
		if name == "" {
			return fmt.Errorf("a variable's name is empty in %q", word)
		}
		if value, err = before.expand(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		v.set(name, value)
	}
	return nil
}

// envWords splits an ENV instruction at spaces outside quotes. Quotes and
// backslashes stay: expand takes them off.
func envWords(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	escaped, begun := false, false
	end := func() {
		if begun {
			words = append(words, word.String())
			word.Reset()
			begun = false
		}
	}
	for _, c := range line {
		switch {
		case escaped:
			escaped = false
		case c == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case unicode.IsSpace(c):
			end()
			continue
		}
		word.WriteRune(c)
		begun = true
	}
	end()
	return words
}

// expand takes the quotes off a word and puts in variables, as Docker does (which
// is less than a shell does).
func (v variables) expand(word string) (string, error) {
	e := expander{rest: word, env: v}
	return e.text("")
}
