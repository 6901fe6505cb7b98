package cli

import (
	"time"

	"github.com/imgspecd/imgspecd/api"
)

func at(name string, state api.State) api.TargetState {
	return api.TargetState{Name: name, State: state}
}

// world is one image in each state, and all that can be wrong beside.
func world() report {
	since := before(12 * time.Second)
	failed := at("registry", api.Failed)
	failed.Error = &api.Error{
		Code: api.CodeUnavailable, Message: "push to ghcr.io/acme/etl: 403 Forbidden: permission_denied: write_package",
		Hint: "docker login ghcr.io",
	}
	return report{
		Info: api.Info{
			Version: "1.4.0", StartedAt: before(75 * time.Hour), RSS: 41_200_000,
			Targets: []api.TargetInfo{
				{Name: "layout", Address: "/home/me/.local/state/imgspecd"},
				{Name: "docker", Address: "unix:///var/run/docker.sock", Version: "29.0.1"},
				{Name: "registry", Policy: "always"},
			},
		},
		Projects: []api.Project{
			{ID: "p1", Name: "churn-model", Dir: "/home/me/src/churn-model", Images: 3, Unreadable: []api.Unreadable{
				{File: "flows/etl.py", Line: 41, Field: "base_image", Reason: `os.environ["BASE"] is not known; pass it with imgspecd watch --env BASE=...`},
			}},
			{ID: "p2", Name: "vision", Dir: "/home/me/src/vision", Images: 2},
			{ID: "p3", Name: "docs-site", Dir: "/home/me/src/docs-site"},
			{ID: "p4", Name: "数据-pipeline", Dir: "/home/me/src/数据-pipeline", Images: 1},
		},
		Images: []api.Image{
			{
				Label: "churn-model/train", Name: "churn:Zk3f8sTUVWabcdefghijkl", Tag: "Zk3f8sTUVWabcdefghijkl", Project: "p1",
				State: api.Ready, Since: since, Detail: "0.8 s, 1 of 38 layers new",
				Targets: []api.TargetState{at("layout", api.Ready), at("docker", api.Ready)}, Build: "b7",
			},
			{
				Label: "churn-model/etl", Name: "ghcr.io/acme/etl:9aQpxX02LmNopqrstuvwxy", Project: "p1", Registry: "ghcr.io/acme",
				State: api.Ready, Since: before(26 * time.Minute), Build: "b6",
				Targets: []api.TargetState{at("layout", api.Ready), failed},
			},
			{
				Label: "churn-model/serving", Name: "localhost:30000/team/serving:Hh21xX02LmNopqrstuvwxy", Project: "p1", Registry: "localhost:30000",
				State: api.Publishing, Since: before(2 * time.Second), Build: "b8",
				Targets: []api.TargetState{at("layout", api.Ready), at("registry", api.Publishing)},
				Progress: []api.Progress{
					{Step: "fetch", Bytes: 31_400_000, BytesTotal: 31_400_000, Items: 1, ItemsTotal: 1},
					{Step: "publish", Target: "registry", Bytes: 2_100_000, BytesTotal: 3_400_000, Items: 3, ItemsTotal: 5},
				},
			},
			{
				Label: "vision/default", Name: "vision:Qq21xX02LmNopqrstuvwxy", Project: "p2", State: api.Failed, Since: before(3 * time.Hour),
				Build: "b5", Targets: []api.TargetState{at("layout", api.Queued)},
				Error: &api.Error{
					Code: api.CodeInvalid, Message: "uv.lock: pycocotools 2.0.8 has no wheel for cpython 3.13 on linux/amd64, and building it from source is not supported",
					Hint: "take a version that has one: uv lock --upgrade-package pycocotools",
				},
			},
			{
				Label: "vision/eval", Project: "p2", State: api.Waiting, Since: before(400 * time.Millisecond),
				Detail: "uv.lock is half written",
			},
			{
				Label: "数据-pipeline/清洗", Name: "registry.example.com/数据/pipeline:Ab21xX02LmNopqrstuvwxy", Project: "p4", State: api.Ready,
				Since: before(50 * time.Hour), Targets: []api.TargetState{at("layout", api.Ready), at("registry", api.Waiting)},
			},
			{
				Label: "vision/cloud", Name: "vision-cloud:Xy21xX02LmNopqrstuvwxy", Project: "p2", State: api.Listed, Since: before(3 * time.Hour),
				Detail: "left to builder union",
			},
			{
				Label: "vision/flytekit", Name: "flytekit:Run1xX02LmNopqrstuvwxy", Project: "p2", State: api.Failed, Since: before(time.Hour),
				Source: api.Source{Kind: "learned"}, Mismatch: &api.Mismatch{Name: "flytekit:Run1xX02LmNopqrstuvwxy", Ours: "flytekit:OursxX02LmNopqrstuvwxy"},
				Error: &api.Error{
					Code: api.CodeInvalid, Message: "flytekit 1.16.31 calls this image flytekit:Run1xX02LmNopqrstuvwxy, imgspecd calls it flytekit:OursxX02LmNopqrstuvwxy: the ids differ",
					Hint: "it is not built until a run and imgspecd agree; please report what imgspecd explain shows of it",
				},
			},
			{
				Label: "vision/trained", Name: "vision-trained:Tr21xX02LmNopqrstuvwxy", Project: "p2", State: api.Queued, Since: before(2 * time.Second),
				Base: "vision-base:Bb21xX02LmNopqrstuvwxy", Detail: "waiting for its base vision/trained@base",
			},
		},
	}
}
