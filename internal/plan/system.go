package plan

import (
	"bytes"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const caBundle = "/etc/ssl/certs/ca-certificates.crt"

// settle writes what the default builder executes after useradd: the owner of the
// homes, the CA bundle, and PATH in the user's profile.
//
// The default builder copies its own CA bundle over the base's in every case (its
// `a || b && c` groups from the left). A base's own bundle is kept here: it is what
// the base's maker trusts.
func (t *tree) settle(in Input, env variables, user account) error {
	if _, ok := t.files["/root"]; !ok {
		t.put(File{Path: "/root", Mode: fs.ModeDir | 0o700})
	}
	for _, dir := range []string{"/root", "/home", "/opt/micromamba"} {
		t.chown(dir, user.UID, in.Late)
	}
	if f, ok := in.Base.Files[runtimeDir]; ok && f.UID != user.UID {
		t.notes = append(t.notes, "what the base has in "+runtimeDir+" keeps its owner; the default builder would give it to "+userName)
	}
	switch {
	case in.Base.HasCA:
	case len(in.CA) > 0:
		t.edit(caBundle, in.CA, 0o644, Owner{})
	default:
		t.notes = append(t.notes, "the base has no "+caBundle+" and none was given: TLS in the image will find no authorities")
	}
	return t.profile(env, user)
}

// profile is `mkdir -p $HOME && echo "export PATH=$PATH" >> $HOME/.profile`, run as the user.
func (t *tree) profile(env variables, user account) error {
	home := user.Home
	if h, ok := env.get("HOME"); ok && h != "" {
		home = h
	}
	if home = path.Clean(home); !known(home) {
		return &Unsupported{Field: "base_image", Reason: "the home of user " + userName + " is " + home + ", outside /home and /root"}
	}
	if f, ok := t.files[home]; ok && !f.Mode.IsDir() {
		return &Unsupported{Field: "base_image", Reason: "the home of user " + userName + ", " + home + ", is no directory"}
	}
	owner := Owner{user.UID, user.GID}
	for _, dir := range append(parents(home), home) {
		if _, ok := t.files[dir]; !ok {
			t.put(File{Path: dir, Mode: fs.ModeDir | 0o755, Owner: owner})
		}
	}
	file := home + "/.profile"
	f, ok := t.files[file]
	if ok && !f.Mode.IsRegular() {
		return &Unsupported{Field: "base_image", Reason: file + " is no regular file"}
	}
	if !ok {
		f = File{Path: file, Mode: 0o644, Owner: owner}
	}
	value, _ := env.get("PATH")
	f.Data = append(slices.Clip(bytes.Clone(f.Data)), "export PATH="+value+"\n"...)
	t.put(f)
	return nil
}

// known says whether base.Info tells all that is at and below a directory.
func known(dir string) bool {
	for _, root := range []string{"/root", "/home"} {
		if dir == root || strings.HasPrefix(dir, root+"/") {
			return true
		}
	}
	return false
}
