package config

import "path/filepath"

// The values of bytecode: whether packages are compiled when they are installed.
const (
	BytecodeAuto = "auto" // all but their tests, if anything here can compile for the image
	BytecodeOn   = "on"   // every source; where nothing can, a build fails
	BytecodeOff  = "off"
)

// Pythons is where this machine's interpreters are looked for.
type Pythons struct {
	Path  []string // the directories of PATH
	UV    string   // directory of those that uv manages; empty: none
	Pyenv string   // directory of pyenv's versions; empty: none
}

// Pythons follows the rules of uv and pyenv.
func (c *Config) Pythons() Pythons {
	p := Pythons{Path: filepath.SplitList(c.env.get("PATH")), UV: c.env.get("UV_PYTHON_INSTALL_DIR")}
	home := c.env.get("HOME")
	data := c.env.get("XDG_DATA_HOME")
	if data == "" && home != "" {
		data = filepath.Join(home, ".local", "share")
	}
	if p.UV == "" && data != "" {
		p.UV = filepath.Join(data, "uv", "python")
	}
	if root := c.env.get("PYENV_ROOT"); root != "" {
		p.Pyenv = filepath.Join(root, "versions")
	} else if home != "" {
		p.Pyenv = filepath.Join(home, ".pyenv", "versions")
	}
	return p
}
