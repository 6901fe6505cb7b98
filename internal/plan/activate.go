package plan

import _ "embed"

var (
	//go:embed activate/activate.sh
	activateSh string
	//go:embed activate/activate.fish
	activateFish string
	//go:embed activate/activate.csh
	activateCsh string
)

// activation is the scripts that put the environment into a shell, by file name.
func activation() map[string]string {
	return map[string]string{"activate": activateSh, "activate.fish": activateFish, "activate.csh": activateCsh}
}
