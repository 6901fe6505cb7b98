package cli

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/api"
	"github.com/imgspecd/imgspecd/client"
	"github.com/imgspecd/imgspecd/config"
)

// Daemon is what the commands ask: client.Client over the socket, or an engine
// in this process. Failures are *api.Error.
type Daemon interface {
	Info(context.Context) (api.Info, error)
	Doctor(context.Context) (api.Doctor, error)
	Projects(context.Context) ([]api.Project, error)
	AddProject(context.Context, api.AddProject) (api.Project, error)
	RemoveProject(ctx context.Context, idOrDir string) error
	ForgetSpec(ctx context.Context, ref string) error
	Disk(context.Context) (api.Disk, error)
	Prune(context.Context, api.Prune) (api.Pruned, error)
	Images(context.Context) ([]api.Image, error)
	Image(ctx context.Context, ref string, wait time.Duration) (api.Image, error)
	StartBuild(context.Context, api.StartBuild) (api.BuildList, error)
	Build(ctx context.Context, id string) (api.Build, error)
	CancelBuild(ctx context.Context, id string) (api.Build, error)
	Log(ctx context.Context, id string, follow bool) (io.ReadCloser, error)
	Events(context.Context, client.EventsOptions) iter.Seq2[api.Event, error]
	Explain(context.Context, api.Explain) (api.Explanation, error)
}

var _ Daemon = (*client.Client)(nil)

// daemon connects to the daemon that the configuration points to.
func (a *app) daemon() (Daemon, error) {
	cfg, _, err := a.config("")
	if err != nil {
		return nil, err
	}
	if a.Connect != nil {
		return a.Connect(cfg), nil
	}
	return connect(cfg), nil
}

func connect(cfg *config.Config) Daemon { return client.New(cfg.Socket) }

// absolute resolves a directory of the command line as the daemon knows it.
func absolute(dir string) (string, error) {
	if dir == "" {
		dir = "."
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", &api.Error{Code: api.CodeNotFound, Message: "no directory " + abs}
	}
	if st, err := os.Stat(real); err != nil || !st.IsDir() {
		return "", &api.Error{Code: api.CodeInvalid, Message: abs + " is not a directory"}
	}
	return real, nil
}

// saysDir reports whether an argument can only be meant as a directory.
func saysDir(arg string) bool {
	return arg == "" || arg == "." || arg == ".." || filepath.IsAbs(arg) ||
		strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../")
}

// isNotFound reports whether the daemon knows no such thing.
func isNotFound(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == api.CodeNotFound
}

// findImage gives the one image that IMAGE|DIR on the command line means. A name
// that the daemon knows wins over a directory of that name.
func findImage(ctx context.Context, d Daemon, arg string) (api.Image, error) {
	if !saysDir(arg) {
		im, err := d.Image(ctx, arg, 0)
		if err == nil || !isNotFound(err) {
			return im, err
		}
		if st, statErr := os.Stat(arg); statErr != nil || !st.IsDir() {
			return im, err
		}
	}
	dir, err := absolute(arg)
	if err != nil {
		return api.Image{}, err
	}
	project, images, err := inDir(ctx, d, dir)
	if err != nil {
		return api.Image{}, err
	}
	images = slices.DeleteFunc(images, func(im api.Image) bool { return im.BaseOf != "" }) // a means to another
	switch len(images) {
	case 1:
		return images[0], nil
	case 0:
		return api.Image{}, noImage(project)
	}
	var labels []string
	for _, im := range images {
		labels = append(labels, im.Label)
	}
	return api.Image{}, &api.Error{
		Code:    api.CodeConflict,
		Message: count(len(images), "image") + " in " + project.Dir,
		Hint:    "name one: " + strings.Join(labels, ", "),
	}
}

func noImage(p api.Project) error {
	if p.Error != nil {
		return p.Error
	}
	if len(p.Unreadable) > 0 {
		return &api.Error{
			Code:    api.CodeInvalid,
			Message: "no image spec of " + p.Name + " can be read: " + unreadableLine("", p.Unreadable[0]),
		}
	}
	return &api.Error{Code: api.CodeNotFound, Message: "no ImageSpec found in " + p.Dir}
}

// inDir gives the watched project that dir lies in, and its images.
func inDir(ctx context.Context, d Daemon, dir string) (api.Project, []api.Image, error) {
	projects, err := d.Projects(ctx)
	if err != nil {
		return api.Project{}, nil, err
	}
	p, ok := around(projects, dir)
	if !ok {
		return p, nil, &api.Error{
			Code:    api.CodeNotFound,
			Message: dir + " is not in a watched project",
			Hint:    "watch it: imgspecd watch " + dir,
		}
	}
	all, err := d.Images(ctx)
	if err != nil {
		return p, nil, err
	}
	return p, of(all, p.ID), nil
}

// around gives the innermost project that dir lies in.
func around(projects []api.Project, dir string) (best api.Project, ok bool) {
	for _, p := range projects {
		rel, err := filepath.Rel(p.Dir, dir)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		if len(p.Dir) >= len(best.Dir) {
			best, ok = p, true
		}
	}
	return best, ok
}

// of picks the images of one project.
func of(images []api.Image, project string) []api.Image {
	own := []api.Image{}
	for _, im := range images {
		if im.Project == project {
			own = append(own, im)
		}
	}
	return own
}

// findExactProject is findProject without looking above the directory.
func findExactProject(projects []api.Project, arg string) (api.Project, error) {
	p, err := findProject(projects, arg)
	if err != nil || arg == p.ID || arg == p.Name {
		return p, err
	}
	if dir, err := absolute(arg); err == nil && dir != p.Dir {
		return p, &api.Error{
			Code: api.CodeNotFound, Message: dir + " is not watched itself", Hint: "it lies in " + p.Dir + ": imgspecd unwatch " + p.Name,
		}
	}
	return p, nil
}

// findProject gives the project that PROJECT|DIR on the command line means.
func findProject(projects []api.Project, arg string) (api.Project, error) {
	plain, _ := filepath.Abs(arg) // still right where the directory is gone
	for _, p := range projects {
		if arg == p.ID || arg == p.Name || plain == p.Dir {
			return p, nil
		}
	}
	dir, err := absolute(arg)
	if err == nil {
		if p, ok := around(projects, dir); ok {
			return p, nil
		}
	}
	if err != nil && !saysDir(arg) {
		return api.Project{}, &api.Error{
			Code: api.CodeNotFound, Message: "no watched project " + arg, Hint: "see imgspecd status",
		}
	}
	if err != nil {
		return api.Project{}, err
	}
	return api.Project{}, &api.Error{
		Code: api.CodeNotFound, Message: dir + " is not in a watched project", Hint: "watch it: imgspecd watch " + dir,
	}
}
