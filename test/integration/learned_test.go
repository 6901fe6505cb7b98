package integration

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/api"
)

// report is what a plug-in in a run would send of a spec: what flytekit holds and computes.
const report = `
import dataclasses, json, os, sys
import flytekit
from flytekit.image_spec.image_spec import ImageSpec
from workflow import image

def value(v):
    if isinstance(v, ImageSpec):
        return {"__imagespec__": fields(v)}
    if isinstance(v, flytekit.constants.CopyFileDetection):
        return {"__copymode__": v.name}
    return v

def fields(s):
    return {f.name: value(getattr(s, f.name)) for f in dataclasses.fields(s) if getattr(s, f.name) is not None}

print(json.dumps({"spec": fields(image), "dir": os.getcwd(), "flytekit": flytekit.__version__,
                  "name": image.image_name(), "tag": image.tag, "id": image.id}))
`

// A spec that only a run knows is learned from it, built under flytekit's name, and kept ahead of the next lock.
func TestLearnedFromARun(t *testing.T) {
	need(t, varUV, varFlytekit, varRegistry, varBase)
	d := startDaemon(t, "IMGSPECD_DOCKER_USE=never")
	p := newProject(t, spec{name: "x", base: os.Getenv(varBase)}, "certifi==2024.12.14").lock()
	p.edit("workflow.py", `name="x"`, `name=open("name.txt").read()`)
	name := "learned-" + random()
	p.write("name.txt", name)
	project, err := d.AddProject(t.Context(), api.AddProject{Dir: p.dir})
	if err != nil || project.Images != 0 || len(project.Unreadable) != 1 {
		t.Fatalf("%+v, %v", project, err)
	}
	if out := d.cli("status"); !strings.Contains(out, "once a run reports such a spec") {
		t.Errorf("status does not say how it becomes known:\n%s", out)
	}
	tell := func() api.Image {
		t.Helper()
		var req api.PutSpec
		if err := json.Unmarshal([]byte(p.flytekit(report)), &req); err != nil {
			t.Fatal(err)
		}
		img, err := d.PutSpec(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if img.Mismatch != nil || img.Name != req.Name || img.Source.Kind != "learned" {
			t.Fatalf("%+v", img)
		}
		return img
	}
	label := tell().Label
	first := d.ready(label, "", "layout")
	p.require("certifi==2025.1.31")
	p.uv("lock")
	second := d.ready(label, first.Name, "layout")
	if again := tell(); again.Name != second.Name || again.State != api.Ready {
		t.Errorf("the next run asks for %s, and %s is %s", again.Name, second.Name, again.State)
	}
	d.stop()
	d.start()
	if im := d.ready(label, first.Name, "layout"); im.Name != second.Name {
		t.Errorf("after a restart: %+v", im)
	}
	wrong := api.PutSpec{Dir: p.dir, Flytekit: "1.16.31", Name: name + ":other", Tag: "other", ID: "other"}
	if err := json.Unmarshal([]byte(p.flytekit(report)), &struct {
		Spec *json.RawMessage `json:"spec"`
	}{&wrong.Spec}); err != nil {
		t.Fatal(err)
	}
	img, err := d.PutSpec(t.Context(), wrong)
	if err != nil || img.State != api.Failed || img.Mismatch == nil || img.Mismatch.Ours != second.Name || img.Name != wrong.Name {
		t.Errorf("a run that names it otherwise: %+v, %v", img, err)
	}
	if out := d.cli("explain", label); !strings.Contains(out, wrong.Name) || !strings.Contains(out, second.Name) {
		t.Errorf("explain does not show both names:\n%s", out)
	}
	if out := d.cli("forget", label); !strings.Contains(out, label) {
		t.Errorf("forget prints %q", out)
	}
	_, err = d.Image(t.Context(), label, 0)
	var gone *api.Error
	if !errors.As(err, &gone) || gone.Code != api.CodeNotFound {
		t.Errorf("forgotten, and still there: %v", err)
	}
}
