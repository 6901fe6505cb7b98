package wheel

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// installer is what uv writes into INSTALLER.
const installer = "uv"

// plan is a Plan in the making.
type plan struct {
	w        *Wheel
	s        Scheme
	launched map[string]bool // names of launchers
	rows     []row
	rowOf    map[string]int // cleaned path in the archive -> index of rows
	files    []File
	at       map[string]int // path in the image -> index of files
	dirs     []string
}

// Plan lists all that uv would install from the wheel, sorted by path: files, and
// directories that stay empty. Parents of these are not listed.
func (w *Wheel) Plan(s Scheme, o Options) ([]File, error) {
	p := &plan{w: w, s: s, launched: map[string]bool{}, at: map[string]int{}}
	files, err := p.make(o)
	if err != nil {
		return nil, w.explain(err)
	}
	return files, nil
}

func (p *plan) make(o Options) ([]File, error) {
	if err := p.readRecord(); err != nil {
		return nil, err
	}
	if err := p.launchers(); err != nil {
		return nil, err
	}
	generated := p.installerFiles(o)
	for i := range p.w.entries {
		if err := p.place(&p.w.entries[i], generated); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(generated)) {
		if err := p.generate(p.s.SitePackages+"/"+name, 0o644, generated[name]); err != nil {
			return nil, err
		}
		p.rows = append(p.rows, row{path: name, hash: recordHash(generated[name]), size: int64(len(generated[name]))})
	}
	name := p.w.meta("RECORD") // written over the wheel's own, whose mode stays
	if err := p.generate(p.s.SitePackages+"/"+name, p.w.entries[p.w.byName[name]].mode(), formatRecord(p.rows)); err != nil {
		return nil, err
	}
	p.emptyDirs()
	slices.SortFunc(p.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return p.files, nil
}

func (p *plan) readRecord() error {
	name := p.w.meta("RECORD")
	text, err := p.w.content(name)
	if err != nil {
		return err
	}
	rows, err := parseRecord(text)
	if err != nil {
		return refuseEntry(name, "%v", err)
	}
	files := make(map[string]int64, len(p.w.entries))
	for i := range p.w.entries {
		if e := &p.w.entries[i]; !e.dir() {
			files[e.name] = e.size
		}
	}
	p.rows = heal(rows, files, p.w.distInfo+distInfoSuffix)
	p.rowOf = make(map[string]int, len(p.rows))
	for i, r := range p.rows {
		p.rowOf[path.Clean(r.path)] = i
	}
	return nil
}

var pythonMinor = regexp.MustCompile(`/python3\.(\d+)t?/`)

func (p *plan) launchers() error {
	name := p.w.meta("entry_points.txt")
	if _, ok := p.w.byName[name]; !ok {
		return nil
	}
	text, err := p.w.content(name)
	if err != nil {
		return err
	}
	minor := ""
	if m := pythonMinor.FindStringSubmatch(p.s.SitePackages + "/"); m != nil {
		minor = m[1]
	}
	scripts, err := parseScripts(text, minor)
	if err != nil {
		return refuseEntry(name, "%v", err)
	}
	for _, s := range scripts {
		if err := checkScriptName(s.name); err != nil {
			return refuseEntry(name, "%v", err)
		}
		p.launched[s.name] = true
		data := s.launcher(p.s.Interpreter)
		to := p.s.Scripts + "/" + s.name
		p.rows = append(p.rows, row{path: p.relative(to), hash: recordHash(data), size: int64(len(data))})
		if i, ok := p.at[to]; ok { // both a console and a GUI script: the second is written over the first
			p.files[i].Data, p.files[i].Size = data, int64(len(data))
			continue
		}
		if err := p.generate(to, 0o755, data); err != nil {
			return err
		}
	}
	return nil
}

// installerFiles are the files that an installer adds to .dist-info, by their
// path below site-packages.
func (p *plan) installerFiles(o Options) map[string][]byte {
	files := map[string][]byte{p.w.meta("INSTALLER"): []byte(installer)}
	if o.Requested {
		files[p.w.meta("REQUESTED")] = []byte{}
	}
	if o.Built {
		files[p.w.meta("uv_build.json")] = []byte("{}") // its settings: none
	}
	if o.Direct != nil {
		files[p.w.meta("direct_url.json")] = o.Direct.json()
	}
	return files
}

// json is direct_url.json as uv writes it: without the hash that it knows.
func (d *Direct) json() []byte {
	url := quoted(d.URL)
	if d.Commit != "" {
		text := `{"url":` + url + `,"vcs_info":{"vcs":"git","commit_id":` + quoted(d.Commit)
		if d.Requested != "" {
			text += `,"requested_revision":` + quoted(d.Requested)
		}
		text += "}"
		if d.Subdirectory != "" {
			text += `,"subdirectory":` + quoted(d.Subdirectory)
		}
		return []byte(text + "}")
	}
	if d.Editable {
		return []byte(`{"url":` + url + `,"dir_info":{"editable":true}}`)
	}
	return []byte(`{"url":` + url + `,"archive_info":{}}`)
}

// quoted is a string in JSON.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

// place decides where an entry goes.
func (p *plan) place(e *zipEntry, generated map[string][]byte) error {
	if rest, ok := strings.CutPrefix(e.name, p.w.distInfo+".data/"); ok {
		if rest == "" {
			return nil
		}
		return p.placeData(e, rest)
	}
	if _, ok := generated[e.name]; ok || e.name == p.w.meta("RECORD") {
		return nil
	}
	return p.put(e, p.s.SitePackages, e.name)
}

// placeData places what lies in .data: each directory there has its own place.
func (p *plan) placeData(e *zipEntry, rest string) error {
	kind, name, ok := strings.Cut(rest, "/")
	if !ok {
		return refuseEntry(e.name, "a file where only directories may be")
	}
	switch kind {
	case "purelib", "platlib":
		return p.put(e, p.s.SitePackages, name)
	case "headers":
		return p.put(e, p.s.Headers+"/"+p.w.Name, name)
	case "scripts":
		return p.putScript(e, name)
	case "data":
		if name == "pyvenv.cfg" {
			return refuseEntry(e.name, "it would replace the environment's own configuration")
		}
		if err := p.checkBin(e, p.s.Prefix+"/"+name); err != nil {
			return err
		}
		return p.putData(e, name)
	}
	return refuseEntry(e.name, "unknown kind of data: %s", kind)
}

// putData places data below the prefix. A venv's lib64 is a link to lib: what an
// installer writes through it must not lie beside it in a layer.
func (p *plan) putData(e *zipEntry, name string) error {
	below, ok := strings.CutPrefix(name, "lib64/")
	if !ok {
		return p.put(e, p.s.Prefix, name)
	}
	err := p.put(e, p.s.Prefix+"/lib", below)
	p.moved(e, p.s.Prefix+"/"+name)
	return err
}

// checkBin refuses data that would replace the interpreter.
func (p *plan) checkBin(e *zipEntry, to string) error {
	if dir, name := path.Split(strings.TrimSuffix(to, "/")); dir == p.s.Scripts+"/" && reserved(name) {
		return refuseEntry(e.name, "it would replace the environment's interpreter")
	}
	return nil
}

func (p *plan) putScript(e *zipEntry, name string) error {
	if name == "" {
		return nil
	}
	if strings.Contains(name, "/") {
		return refuseEntry(e.name, "a directory among the scripts")
	}
	if p.launched[launcherOf(name)] {
		return nil // the launcher stands for it; its row stays in RECORD, as with uv
	}
	if err := checkScriptName(name); err != nil {
		return refuseEntry(e.name, "%v", err)
	}
	e2 := *e
	e2.exec = true
	python, err := p.w.begins(e, "#!python")
	if err != nil {
		return err
	}
	if !python {
		return p.put(&e2, p.s.Scripts, name)
	}
	data, err := p.w.content(e.name)
	if err != nil {
		return err
	}
	var wrong *Mismatch
	i, listed := p.rowOf[e.name]
	if listed {
		wrong = mismatch(p.rows[i].hash, data)
	}
	data = p.rewrite(data)
	p.moved(e, p.s.Scripts+"/"+name)
	if listed {
		p.rows[i].hash, p.rows[i].size = recordHash(data), int64(len(data))
	}
	return p.add(File{Path: p.s.Scripts + "/" + name, Mode: 0o755, Size: int64(len(data)), Data: data, Mismatch: wrong}, e.name)
}

// launcherOf is the launcher that a script may be the old form of.
func launcherOf(name string) string {
	for _, suffix := range []string{".exe", "-script.py", ".pya"} {
		if s, ok := strings.CutSuffix(name, suffix); ok {
			return s
		}
	}
	return name
}

// rewrite puts the interpreter in the place of the first line. (Of "\r\n" uv 0.5 left the "\n".)
func (p *plan) rewrite(data []byte) []byte {
	rest := []byte(nil)
	if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
		rest = data[i+1:]
		if data[i] == '\r' {
			rest = bytes.TrimPrefix(rest, []byte("\n"))
		}
	}
	return append([]byte(shebang(p.s.Interpreter)+"\n"), rest...)
}

// put places an entry at name below root.
func (p *plan) put(e *zipEntry, root, name string) error {
	to := strings.TrimSuffix(root+"/"+name, "/")
	if e.dir() {
		p.dirs = append(p.dirs, to)
		return nil
	}
	f := File{
		Path: to, Mode: e.mode(), Size: e.size, CRC: e.crc,
		Entry: Entry{Method: e.method, Offset: e.offset, CompressedSize: e.csize},
	}
	if i, ok := p.rowOf[e.name]; ok {
		f.Hash = p.rows[i].hash
	}
	p.moved(e, to)
	return p.add(f, e.name)
}

// moved puts an entry's new place into its row of RECORD. One that stays where the
// archive has it keeps its row as it is written.
func (p *plan) moved(e *zipEntry, to string) {
	if to == p.s.SitePackages+"/"+e.name {
		return
	}
	if i, ok := p.rowOf[e.name]; ok {
		p.rows[i].path = p.relative(to)
	}
}

// relative is a path as RECORD has it: from site-packages.
func (p *plan) relative(to string) string {
	rel, err := filepath.Rel(p.s.SitePackages, to)
	if err != nil { // one of the two is not absolute
		return to
	}
	return filepath.ToSlash(rel)
}

func (p *plan) generate(to string, mode fs.FileMode, data []byte) error {
	return p.add(File{Path: to, Mode: mode, Size: int64(len(data)), Data: data}, to)
}

// add takes a file, unless another has its place.
func (p *plan) add(f File, entry string) error {
	if _, ok := p.at[f.Path]; ok {
		return refuseEntry(entry, "two files would be installed at %s", f.Path)
	}
	p.at[f.Path] = len(p.files)
	p.files = append(p.files, f)
	return nil
}

// emptyDirs adds the directories that nothing lies in.
func (p *plan) emptyDirs() {
	full := map[string]bool{p.s.SitePackages: true, p.s.Prefix: true, p.s.Scripts: true}
	mark := func(name string) {
		for dir := path.Dir(name); !full[dir] && dir != "/" && dir != "."; dir = path.Dir(dir) {
			full[dir] = true
		}
	}
	for _, f := range p.files {
		mark(f.Path)
	}
	for _, d := range p.dirs {
		mark(d)
	}
	slices.Sort(p.dirs)
	for _, d := range slices.Compact(p.dirs) {
		if _, taken := p.at[d]; !full[d] && !taken {
			p.files = append(p.files, File{Path: d, Mode: fs.ModeDir | 0o755})
		}
	}
}
