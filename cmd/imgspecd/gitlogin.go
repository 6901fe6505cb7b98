package main

import (
	"context"
	"encoding/base64"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// gitLogin finds the user's login for a repository where git itself looks for it, so that BuildKit can fetch what the user can. It
// asks git's credential helpers as the user has configured them, outside of any repository, and never the user.
func gitLogin(ctx context.Context, repository string) string {
	u, err := url.Parse(repository)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return "" // SSH has its agent
	}
	if password, ok := u.User.Password(); ok {
		return basic(u.User.Username(), password)
	}
	if netrc, err := readNetrc(); err == nil {
		if l, ok := netrc.Find(u.Host, u.Hostname(), u.User.Username()); ok {
			return basic(l.Login, l.Password)
		}
	}
	return helpersLogin(ctx, u)
}

func basic(user, password string) string {
	return "basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// helpersLogin runs `git credential fill`.
func helpersLogin(ctx context.Context, u *url.URL) string {
	git, err := exec.LookPath("git")
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, git, "credential", "fill")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GCM_INTERACTIVE=never")
	cmd.Stdin = strings.NewReader("protocol=" + u.Scheme + "\nhost=" + u.Host + "\npath=" + strings.TrimPrefix(u.Path, "/") + "\n\n")
	out, err := cmd.Output()
	if err != nil {
		return "" // no helper has one
	}
	var user, password string
	for line := range strings.SplitSeq(string(out), "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "username":
			user = value
		case "password":
			password = value
		}
	}
	if password == "" {
		return ""
	}
	return basic(user, password)
}
