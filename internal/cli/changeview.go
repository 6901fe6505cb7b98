package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/imgspecd/imgspecd/api"
)

// maxRounds bounds how often a project is looked at for its variables: one may decide which others are read.
const maxRounds = 8

// recorded returns the request with the values that this shell gives the variables which the project's
// specs read, and no others.
func (a *app) recorded(ctx context.Context, d Daemon, req api.AddProject) (api.AddProject, error) {
	req.Look, req.Shell = true, map[string]*string{}
	for range maxRounds {
		p, err := d.AddProject(ctx, req)
		if err != nil {
			return req, err
		}
		now, more := map[string]*string{}, false
		for _, v := range p.Variables {
			value, asked := req.Shell[v.Name]
			if !asked {
				more = true
				if s, set := a.LookupEnv(v.Name); set {
					value = &s
				}
			}
			now[v.Name] = value
		}
		req.Shell = now
		if !more {
			break
		}
	}
	req.Look = false
	return req, nil
}

// variableText says of one variable where its value comes from.
func variableText(v api.Variable) string {
	from := map[string]string{
		api.FromShell: "from the shell of imgspecd watch", api.FromSetting: "from the project's settings", api.FromOption: "from --env",
		api.FromUnset: "not set", api.FromUnrecorded: "not recorded, counts as not set",
	}
	return v.Name + " " + from[v.From]
}

// variables writes the variables that specs read, one a line.
func (s screen) variables(vs []api.Variable) string {
	var b strings.Builder
	name := "reads"
	for _, v := range vs {
		b.WriteString(s.field(name, clean(variableText(v))))
		name = ""
	}
	return b.String()
}

// unrecorded tells of projects whose specs read variables that no shell was asked for.
func (v statusView) unrecorded(b *strings.Builder, projects []api.Project) {
	for _, p := range projects {
		var names []string
		for _, r := range p.Variables {
			if r.From == api.FromUnrecorded {
				names = append(names, r.Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(v.para(v.paint(warn, v.warn)+" ", normal, clean(fmt.Sprintf(
			"%s reads %s, which imgspecd watch has not recorded: it counts as not set", p.Name, strings.Join(names, ", ")))))
		b.WriteString(v.hint("", "imgspecd watch "+clean(p.Dir)))
	}
}

// differs says under a ready image that its content would be another now.
func (v statusView) differs(lead string, im api.Image) string {
	if len(im.Differs) == 0 || im.State != api.Ready {
		return ""
	}
	return v.para(lead+v.paint(warn, v.warn)+" ", normal, clean("its content would differ now, its name would not: "+strings.Join(im.Differs, "; "))) +
		v.hint(lead, "imgspecd build "+clean(im.Label))
}

// maxWarnings is how many warnings of an image are shown.
const maxWarnings = 3

// warnings says under a ready image what is doubtful in it.
func (v statusView) warnings(lead string, im api.Image) string {
	if im.State != api.Ready {
		return ""
	}
	shown := im.Warnings
	if !v.wide && len(shown) > maxWarnings {
		shown = shown[:maxWarnings]
	}
	var b strings.Builder
	for _, w := range shown {
		b.WriteString(v.para(lead+v.paint(warn, v.warn)+" ", normal, clean(w.String())))
	}
	if n := len(im.Warnings) - len(shown); n > 0 {
		b.WriteString(v.hint(lead, fmt.Sprintf("and %d more: imgspecd status --wide lists them", n)))
	}
	return b.String()
}

// maxPackages is how many changed packages are shown.
const maxPackages = 20

// change writes what is other than in the image before: why the name, which packages, and what no name sees.
func (s screen) change(c *api.Change) string {
	if c == nil {
		return ""
	}
	var b strings.Builder
	name := "because"
	for _, why := range c.Because {
		b.WriteString(s.field(name, clean(why)))
		name = ""
		for _, f := range c.Fields {
			if !strings.HasPrefix(why, f.Field+" ") {
				continue
			}
			for _, side := range []struct {
				sign  string
				st    style
				value json.RawMessage
			}{{"-", bad, f.Before}, {"+", good, f.Now}} {
				if len(side.value) > 0 {
					b.WriteString(s.para(strings.Repeat(" ", fieldWidth)+s.paint(side.st, side.sign)+" ", normal, clean(string(side.value))))
				}
			}
		}
	}
	b.WriteString(s.packageChanges(c.Packages))
	name = "not seen"
	by := s.paint(quiet, "  (by flytekit's name)")
	for _, why := range c.Unseen {
		b.WriteString(s.field(name, clean(why)+by))
		name, by = "", ""
	}
	return b.String()
}

func (s screen) packageChanges(all []api.PackageChange) string {
	if all == nil {
		return ""
	}
	var added, removed int
	lines := make([]string, 0, len(all))
	for _, p := range all {
		switch {
		case p.Before == "":
			added++
			lines = append(lines, s.paint(good, "+")+" "+clean(p.Name+" "+p.Now))
		case p.Now == "":
			removed++
			lines = append(lines, s.paint(bad, "-")+" "+clean(p.Name+" "+p.Before))
		default:
			lines = append(lines, s.paint(busy, "~")+" "+clean(fmt.Sprintf("%s %s %s %s", p.Name, p.Before, s.arrow, p.Now)))
		}
	}
	var b strings.Builder
	b.WriteString(s.field("changed", fmt.Sprintf("+%d -%d ~%d packages", added, removed, len(all)-added-removed)))
	more := len(lines) - maxPackages
	if more > 0 {
		lines = slices.Concat(lines[:maxPackages], []string{s.paint(quiet, fmt.Sprintf("and %d more: --json lists them", more))})
	}
	for _, l := range lines {
		b.WriteString(s.field("", l))
	}
	return b.String()
}
