package buildkit

import (
	"context"
	"fmt"

	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
)

// logins tells BuildKit the user's logins at registries, for images that steps mount.
func (m *Machine) logins() session.Attachable {
	return authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: func(ctx context.Context, host string, _ []string, _ authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
			if host == "registry-1.docker.io" {
				host = name.DefaultRegistry // as logins name it
			}
			a, err := authn.Resolve(ctx, m.deps.Keychain, place(host))
			if err != nil {
				return types.AuthConfig{}, fmt.Errorf("log in to %s: %w", host, err)
			}
			c, err := a.Authorization()
			if err != nil {
				return types.AuthConfig{}, fmt.Errorf("log in to %s: %w", host, err)
			}
			return types.AuthConfig{
				ServerAddress: host, Username: c.Username, Password: c.Password, Auth: c.Auth, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
			}, nil
		},
	})
}

// place is a host as a keychain asks for it.
type place string

func (r place) String() string      { return string(r) }
func (r place) RegistryStr() string { return string(r) }
