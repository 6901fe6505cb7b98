package lockfile

import (
	"errors"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imgspecd/imgspecd/internal/pypa"
)

// What is split is what sh makes of it.
func TestShellWords(t *testing.T) {
	for _, s := range []string{"", "  a\tb ", `'a b'"c d"e\ f`, `""`, `a '' b`, `"a\b\\c\"d\'"`, `'a\'b`, `a\\b \-x`, `--x="a'b" a#b a~ ^ % @ , : =`, `"a\$b\` + "`" + `"`, `\$a`, "é 'ü ' \u00a0x", `"#" '~' \#`, `'$x;|&<>*?'`} {
		got, err := shellWords(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		out, err := exec.Command("sh", "-c", `printf '<%s>' uv `+s).Output()
		if want := "<" + strings.Join(append([]string{"uv"}, got...), "><") + ">"; err != nil || string(out) != want {
			t.Errorf("%q: sh has %q, not %q (error %v)", s, out, want, err)
		}
	}
	for _, s := range []string{"$A", "`a`", "a;b", "a|b", "a&b", "a>b", "<a", "(a)", "{a,b}", "*", "a?", "[a]", "!a", "#a", "~", "a ~b", `"$A"`, "\"`a`\"", "'a", `"a`, `a\`, "a\nb", "a\x00b", "a\rb", `"!"x!`} {
		var e *ArgsError
		if got, err := shellWords(s); !errors.As(err, &e) {
			t.Errorf("%q is %q, not refused as what is not plain (error %v)", s, got, err)
		}
	}
}

func TestParseArgs(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		format Format
		args   string
		want   Choice
	}{
		{FormatUV, "--extra gpu --no-install-package torch", Choice{Extras: []string{"gpu"}, NotInstalled: []string{"torch"}}},
		{FormatUV, "--extra A.b,c --extra=c --no-extra d --all-packages", Choice{Extras: []string{"a-b", "c"}, NotExtras: []string{"d"}, AllPackages: true}},
		{FormatUV, "--only-group a --no-group 'b c' --dev", Choice{OnlyGroups: []string{"a"}, NotGroups: []string{"b", "c"}}},
		{FormatUV, "--no-binary --binary --no-build --no-binary-package X -qn", Choice{NoBinary: &no, NoBuild: &yes, NoBinaryPackages: []string{"x"}}},
		{FormatUV, "-fhttps://example.org -i=https://example.org --inexact --no-editable", Choice{Inexact: true, NoEditable: true}},
		{FormatPoetry, "--with 'a, b' --without c -Ed -E 'e f' -vvv", Choice{Groups: []string{"a", "b"}, NotGroups: []string{"c"}, Extras: []string{"d", "e", "f"}}},
		{FormatPoetry, "--only main --only Dev_x --no-directory --no-root", Choice{OnlyGroups: []string{"main", "dev-x"}, NoLocal: true}},
		{FormatPylock, " ", Choice{}},
	} {
		got, err := ParseArgs(c.format, c.args)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, -want +got\n%s", c.args, err, diff)
		}
	}
}

func TestRefusedArgs(t *testing.T) {
	for _, c := range []struct {
		format      Format
		args        string
		unsupported bool
		want        string
	}{
		{FormatUV, "--frozen", false, "--frozen cannot be used with --locked, which flytekit adds; leave it out"},
		{FormatUV, "-U", false, "-U cannot be used with --locked"},
		{FormatUV, "--all-extras --extra a", false, "the argument --extra cannot be used with --all-extras"},
		{FormatUV, "--all-groups --all-groups", false, "the argument --all-groups cannot be used multiple times"},
		{FormatUV, "--only-dev", false, "--only-dev cannot be used with --no-dev, which flytekit adds"},
		{FormatUV, "--resolution=lowest", true, "--resolution decides how uv locks"},
		{FormatUV, "-p3.12", true, "-p chooses another Python"},
		{FormatUV, "-C a=b", true, "-C decides how packages are built"},
		{FormatUV, "--extra $GPU", true, "the shell takes '$' for more than a character"},
		{FormatUV, "--extra a && rm x", true, "the shell takes '&'"},
		{FormatUV, "--extra", false, "--extra has no value"},
		{FormatUV, "--extra 'a b'", false, `a value of --extra is not a name: "a b"`},
		{FormatUV, "--link-mode soft", false, "--link-mode is not one of clone, copy"},
		{FormatUV, "--index-rul https://user:secret@example.org/simple", false, "unexpected argument \"--index-rul\""},
		{FormatUV, "https://user:secret@example.org/simple", false, `unexpected argument "https://example.org/simple"`},
		{FormatPoetry, "--extra a", false, "unexpected argument \"--extra\", which `poetry install` does not know"},
		{FormatPoetry, "--only-root", false, "--only-root cannot be used with --no-root"},
		{FormatPoetry, "--all-extras -E a", false, "--extras while installing using --all-extras"},
		{FormatPoetry, "-C x", true, "-C names files that flytekit's builder does not see"},
		{FormatPylock, "-v", true, "with pylock.toml there is no tool"},
	} {
		var e *ArgsError
		_, err := ParseArgs(c.format, c.args)
		if !errors.As(err, &e) || e.Unsupported != c.unsupported || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error is %v", c.args, err)
		}
	}
}

// A name that is not there is told in the tool's own words.
func TestUnknownChoices(t *testing.T) {
	for _, c := range []struct {
		lock Lock
		args string
		want string
	}{
		{parseFixture(t, "extras"), "--extra nope", "extra nope is not defined in the optional-dependencies table for extras-project"},
		{parseFixture(t, "groups"), "--no-group nope", "group nope is not defined in the project's dependency-groups table"},
		{parseFixture(t, "nonproject"), "--group nope", "group nope is not defined in any project's dependency-groups table"},
		{parseFixture(t, "nonproject"), "--extra nope", "extra nope is not defined in any project's optional-dependencies table"},
		{parseFixture(t, "members"), "--package loose", "the workspace does not have a member loose"},
		{parseFixture(t, "conflicts"), "--extra cpu --extra gpu", "conflict: extra cpu of conflicts and extra gpu of conflicts"},
		{parseFixture(t, "groupconflicts"), "--group new", "conflict: group new of groupconflicts and group old of groupconflicts"},
		{parsePoetryFixture(t, "v21"), "--with nope,x --without x", "Group(s) not found: nope (via --with), x (via --with, --without)"},
		{parsePoetryFixture(t, "v21"), "-E nope", "Extra [nope] is not specified"},
	} {
		format := FormatUV
		if _, ok := c.lock.(*Poetry); ok {
			format = FormatPoetry
		}
		choice, err := ParseArgs(format, c.args)
		if err != nil {
			t.Fatal(err)
		}
		var e *Error
		if _, err := c.lock.Select(bookworm, choice); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v", c.args, err)
		}
	}
}

// What is built, and what is a link, follows the arguments before [tool.uv].
func TestChoiceOfBuilds(t *testing.T) {
	for _, c := range []struct {
		fixture, args string
		want          []string
	}{
		{"sdist", "", []string{"docopt", "markupsafe", "six"}},
		{"sdist", "--no-binary", []string{"docopt", "markupsafe", "six"}},
		{"sdist", "--no-binary-package packaging --no-install-package docopt", []string{"markupsafe", "six"}},
		{"members", "", []string{"lib link", "loose"}},
		{"members", "--no-editable", []string{"lib", "loose"}},
		{"members", "--no-editable-package lib --no-binary-package attrs", []string{"attrs", "lib", "loose"}},
	} {
		choice, err := ParseArgs(FormatUV, c.args)
		if err != nil {
			t.Fatal(err)
		}
		artifacts, err := parseFixture(t, c.fixture).Select(bookworm, choice)
		var got []string
		for _, a := range artifacts {
			switch {
			case a.Sdist && a.Source.Editable:
				got = append(got, a.Name+" link")
			case a.Sdist:
				got = append(got, a.Name)
			}
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s %s: error %v, -want +got\n%s", c.fixture, c.args, err, diff)
		}
	}
}

// A lock from before revision 5 does not say what a member syncs by default.
func TestDefaultGroupsOfMember(t *testing.T) {
	lock, pyproject := readFixture(t, "members")
	u, err := ParseUV([]byte(strings.Replace(string(lock), "revision = 5", "revision = 4", 1)), pyproject)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Select(bookworm, Choice{Packages: []string{"lib"}}); err == nil || !strings.Contains(err.Error(), "add --no-default-groups") {
		t.Errorf("error is %v", err)
	}
	if _, err := u.Select(bookworm, Choice{Packages: []string{"lib"}, NoDefaultGroups: true}); err != nil {
		t.Error(err)
	}
}

func FuzzParseArgs(f *testing.F) {
	for _, s := range slices.Concat(uvChoices, poetryChoices) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, format := range []Format{FormatUV, FormatPoetry} {
			choice, err := ParseArgs(format, s)
			var e *ArgsError
			if err != nil && !errors.As(err, &e) {
				t.Errorf("%T is not an *ArgsError", err)
			}
			if err != nil {
				continue
			}
			for _, names := range [][]string{choice.Extras, choice.Groups, choice.NotGroups, choice.OnlyGroups, choice.Packages, choice.NotInstalled} {
				for _, n := range names {
					if pypa.NormalizeName(n) != n || !pypa.IsName(n) {
						t.Errorf("%q gives the name %q", s, n)
					}
				}
			}
			words, err := shellWords(s)
			if err != nil {
				t.Fatal(err)
			}
			var quoted []string
			for _, w := range words {
				quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
			}
			if again, err := ParseArgs(format, strings.Join(quoted, " ")); err != nil || !reflect.DeepEqual(again, choice) {
				t.Errorf("%q in quotes is %+v, not %+v (error %v)", s, again, choice, err)
			}
		}
	})
}
