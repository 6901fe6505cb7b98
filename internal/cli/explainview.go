package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// fieldWidth is how wide the words at the left of an explanation are.
const fieldWidth = 10

// field writes one named paragraph.
func (s screen) field(name, text string) string {
	if text == "" {
		return ""
	}
	return s.para(s.paint(quiet, pad(name, fieldWidth)), normal, text)
}

// explanationText writes an explanation: name first, then what went into it, then what it is made of.
func (a *app) explanationText(e api.Explanation) string {
	var b strings.Builder
	s := a.out
	b.WriteString(s.field("image", s.paint(strong, clean(e.Name))))
	b.WriteString(s.field("tag", clean(e.Tag)+wasText(s, e)))
	b.WriteString(s.change(e.Change))
	if e.ID != e.Tag {
		b.WriteString(s.field("id", clean(e.ID)))
	}
	b.WriteString(s.field("named by", "flytekit "+clean(e.Flytekit)))
	if e.Source != nil && e.Source.File != "" {
		found := fmt.Sprintf("%s:%d", clean(e.Source.File), e.Source.Line)
		if e.Source.Variable != "" {
			found += " (" + clean(e.Source.Variable) + ")"
		}
		b.WriteString(s.field("found in", found))
	} else if e.Source != nil && e.Source.Kind == "learned" {
		b.WriteString(s.field("learned", "from a run"))
	}
	b.WriteString(s.mismatch(e.Mismatch))
	b.WriteString(s.specFields(e.Spec))
	b.WriteString(s.variables(e.Variables))
	for i, in := range e.Inputs {
		name := "files"
		if i > 0 {
			name = ""
		}
		text := clean(near(in.Path)) + s.paint(quiet, "  "+shortDigest(in.Digest))
		if !in.Named {
			text += s.paint(quiet, "  not part of the tag")
		}
		b.WriteString(s.field(name, text))
	}
	b.WriteString(s.planFields(e))
	if len(e.Differs) > 0 {
		b.WriteString(s.para(s.paint(warn, s.warn)+" ", normal, clean("the image that is ready was made before this changed: "+strings.Join(e.Differs, "; "))))
	}
	for _, n := range e.Notes {
		b.WriteString(s.para(s.paint(warn, s.warn)+" ", normal, clean(n)))
	}
	return b.String()
}

// near writes a path from the working directory, if it lies in it.
func near(path string) string {
	wd, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func wasText(s screen, e api.Explanation) string {
	if e.Previous == "" || e.Previous == e.Name {
		return ""
	}
	_, tag := splitRef(e.Previous)
	return s.paint(quiet, "  was "+clean(tag))
}

// specFields writes the fields that are set, one a line, in the order of the spec.
func (s screen) specFields(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return s.field("spec", clean(string(raw)))
	}
	var b strings.Builder
	name := "spec"
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return s.field("spec", clean(string(raw)))
		}
		b.WriteString(s.field(name, clean(fmt.Sprintf("%v = %s", key, value))))
		name = ""
	}
	return b.String()
}

// planFields writes base, packages and layers for each platform, or why there are none.
func (s screen) planFields(e api.Explanation) string {
	all := e.Platforms
	if len(all) == 0 {
		all = []api.PlatformPlan{{Base: e.Base, Packages: e.Packages, Steps: e.Steps, Layers: e.Layers}}
	}
	var b strings.Builder
	for _, one := range all {
		if len(all) > 1 {
			b.WriteString(s.field("platform", s.paint(strong, clean(one.Base.Platform))))
		}
		b.WriteString(s.madeOf(one))
	}
	if e.PlanError != nil {
		b.WriteString(s.para(s.paint(bad, s.bad+" no plan")+"  ", normal, clean(e.PlanError.Message)))
		b.WriteString(statusView{screen: s}.hint("", e.PlanError.Hint))
	}
	return b.String()
}

// madeOf writes what the image for one platform is made of, as far as that is known.
func (s screen) madeOf(e api.PlatformPlan) string {
	var b strings.Builder
	if e.Base != nil {
		text := clean(e.Base.Ref) + s.paint(quiet, "  "+shortDigest(e.Base.Digest))
		b.WriteString(s.field("base", text))
		parts := []string{e.Base.Platform, "Python " + e.Base.Python, e.Base.Libc}
		if e.Base.Layers > 0 {
			parts = append(parts, count(e.Base.Layers, "layer"))
		}
		switch e.Base.From {
		case "":
		case "nested":
			parts = append(parts, "an ImageSpec of its own, built first")
		default:
			parts = append(parts, "from "+e.Base.From)
		}
		parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" || p == "Python " })
		b.WriteString(s.field("", s.paint(quiet, clean(strings.Join(parts, ", ")))))
	}
	b.WriteString(s.steps(e.Steps))
	if len(e.Packages) > 0 {
		var total int64
		for _, p := range e.Packages {
			total += p.Size
		}
		b.WriteString(s.field("packages", count(len(e.Packages), "package")+", "+size(total)+" of wheels"))
	}
	if len(e.Layers) > 0 {
		b.WriteString(s.layers(e))
	}
	return b.String()
}

// mismatch writes both names of an image that flytekit and imgspecd do not name alike.
func (s screen) mismatch(m *api.Mismatch) string {
	if m == nil {
		return ""
	}
	ours := clean(m.Ours)
	if ours == "" {
		ours = "none"
	}
	if m.OursID != m.ID {
		ours += s.paint(quiet, "  id "+clean(m.OursID))
	}
	return s.field("ours", ours) + s.field("hashed", clean(m.Hashed))
}

// layers lists the layers, lowest first, with what is in them.
func (s screen) layers(e api.PlatformPlan) string {
	var b strings.Builder
	exist, shared, missing := 0, 0, int64(0)
	for _, l := range e.Layers {
		switch {
		case l.Exists:
			exist++
		case l.Shared:
			shared++
		default:
			missing += l.Size
		}
	}
	text := fmt.Sprintf("%s on the base: %d exist", count(len(e.Layers), "layer"), exist)
	if shared > 0 {
		text += fmt.Sprintf(", %d from the team cache", shared)
	}
	if n := len(e.Layers) - exist - shared; n > 0 {
		text += fmt.Sprintf(", %d to be made (about %s)", n, size(missing))
	}
	b.WriteString(s.field("layers", text))
	versions := map[int][]string{}
	for _, p := range e.Packages {
		versions[p.Layer] = append(versions[p.Layer], p.Name+" "+p.Version)
	}
	wide := 0
	for _, l := range e.Layers {
		wide = max(wide, len(size(l.Size)))
	}
	for i, l := range e.Layers {
		sign := s.paint(good, s.good+" exists ")
		switch {
		case l.Shared:
			sign = s.paint(good, s.good+" shared ")
		case !l.Exists:
			sign = s.paint(busy, "+ to make")
		}
		title := clean(l.Title)
		switch in := versions[i]; {
		case len(in) == 1:
			title = clean(in[0])
		case len(in) > 1:
			title = clean(fmt.Sprintf("%d packages: %s", len(in), strings.Join(in, ", ")))
		}
		n := size(l.Size)
		b.WriteString(s.para("  "+sign+"  "+strings.Repeat(" ", wide-len(n))+n+"  ", normal, title))
	}
	return b.String()
}

// shortDigest shows enough of a digest to compare it by eye.
func shortDigest(d string) string {
	algo, hex, ok := strings.Cut(d, ":")
	if !ok {
		algo, hex = "sha256", d
	}
	if len(hex) > 12 {
		hex = hex[:12]
	}
	if hex == "" {
		return ""
	}
	return clean(algo + ":" + hex)
}
