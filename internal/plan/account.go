package plan

import (
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgspecd/imgspecd/internal/layer"
)

// userName is the user that the default builder makes and runs as.
const userName = "flytekit"

// account is a line of /etc/passwd, as far as it matters.
type account struct {
	UID, GID int
	Home     string
	New      bool
}

// account finds the user, or makes it as Debian's
// `useradd --create-home --shell /bin/bash flytekit` does (shadow 4.13, bookworm),
// which the default builder executes. What useradd does and this does not: the
// backup files (passwd- and the like), and a mail spool where the base asks for one.
func (t *tree) account() (account, error) {
	passwd := t.table("/etc/passwd")
	if line := passwd.find(userName); line != nil {
		return existing(line)
	}
	if t.table("/etc/group").find(userName) != nil {
		return account{}, &Invalid{Field: "base_image", Reason: "the base has a group " + userName + " without a user of that name: useradd refuses that"}
	}
	defs := t.loginDefs()
	a := account{New: true, Home: t.useraddDefault("HOME", "/home") + "/" + userName}
	var err error
	if a.UID, err = freeID(passwd.ids(2), defs.number("UID_MIN", 1000), defs.number("UID_MAX", 60000)); err != nil {
		return account{}, &Invalid{Field: "base_image", Reason: "find a free user id: " + err.Error()}
	}
	if err := t.addGroup(&a, defs); err != nil {
		return account{}, err
	}
	t.addUser(a, defs)
	t.addSubIDs(a, defs)
	t.makeHome(a, defs)
	return a, nil
}

func existing(line []string) (account, error) {
	bad := &Invalid{Field: "base_image", Reason: "the base's /etc/passwd is damaged at " + userName}
	if len(line) < 6 {
		return account{}, bad
	}
	uid, err1 := strconv.Atoi(line[2])
	gid, err2 := strconv.Atoi(line[3])
	if err1 != nil || err2 != nil {
		return account{}, bad
	}
	return account{UID: uid, GID: gid, Home: line[5]}, nil
}

// addGroup picks the primary group: one of the user's own, with the user's id if that is free.
func (t *tree) addGroup(a *account, defs settings) error {
	if defs.text("USERGROUPS_ENAB", "no") != "yes" {
		gid, err := strconv.Atoi(t.useraddDefault("GROUP", "100"))
		if err != nil {
			return &Unsupported{Field: "base_image", Reason: "the base's /etc/default/useradd names its GROUP by name"}
		}
		a.GID = gid
		return nil
	}
	used := t.table("/etc/group").ids(2)
	low, high := defs.number("GID_MIN", 1000), defs.number("GID_MAX", 60000)
	if a.GID = a.UID; a.GID < low || a.GID > high || slices.Contains(used, a.GID) {
		gid, err := freeID(used, low, high)
		if err != nil {
			return &Invalid{Field: "base_image", Reason: "find a free group id: " + err.Error()}
		}
		a.GID = gid
	}
	password := "!"
	if _, ok := t.content("/etc/gshadow"); ok {
		password = "x"
		t.appendLine("/etc/gshadow", userName+":!::", 0o640)
	}
	t.appendLine("/etc/group", fmt.Sprintf("%s:%s:%d:", userName, password, a.GID), 0o644)
	return nil
}

func (t *tree) addUser(a account, defs settings) {
	password := "!"
	if _, ok := t.content("/etc/shadow"); ok {
		password = "x"
		// The day of the last change of the password. useradd writes today; this is
		// the day of every file in a layer, as useradd writes under SOURCE_DATE_EPOCH.
		day := layer.Epoch.Unix() / int64(24*time.Hour/time.Second)
		t.appendLine("/etc/shadow", fmt.Sprintf("%s:!:%d:%s:%s:%s:::", userName, day,
			defs.aging("PASS_MIN_DAYS"), defs.aging("PASS_MAX_DAYS"), defs.aging("PASS_WARN_AGE")), 0o640)
	}
	t.appendLine("/etc/passwd", fmt.Sprintf("%s:%s:%d:%d::%s:/bin/bash", userName, password, a.UID, a.GID, a.Home), 0o644)
}

// addSubIDs adds a range of subordinate ids to the files that are there.
func (t *tree) addSubIDs(a account, defs settings) {
	for _, f := range []struct{ path, prefix string }{{"/etc/subuid", "SUB_UID_"}, {"/etc/subgid", "SUB_GID_"}} {
		if _, ok := t.content(f.path); !ok {
			continue
		}
		low, high := defs.number(f.prefix+"MIN", 100000), defs.number(f.prefix+"MAX", 600100000)
		count := defs.number(f.prefix+"COUNT", 65536)
		if start, ok := freeRange(t.table(f.path), low, high, count); ok && count > 0 {
			t.appendLine(f.path, fmt.Sprintf("%s:%d:%d", userName, start, count), 0o644)
		}
	}
}

// makeHome copies /etc/skel. A home that is there already is left as it is.
func (t *tree) makeHome(a account, defs settings) {
	if _, ok := t.files[a.Home]; ok {
		return
	}
	mode := fs.FileMode(0o777) &^ fs.FileMode(defs.number("UMASK", 0o022))
	mode = fs.FileMode(defs.number("HOME_MODE", int(mode))).Perm()
	owner := Owner{a.UID, a.GID}
	t.put(File{Path: a.Home, Mode: fs.ModeDir | mode, Owner: owner})
	skel := t.useraddDefault("SKEL", "/etc/skel")
	for _, p := range t.under(skel) {
		if p == skel {
			continue
		}
		f := t.files[p]
		f.Path, f.Owner = a.Home+strings.TrimPrefix(p, skel), owner
		t.put(f)
	}
}

// freeID finds an id as useradd does: one above the highest in range; when that is the end, the lowest free one.
func freeID(used []int, low, high int) (int, error) {
	id := low
	for _, u := range used {
		if u >= id && u <= high {
			id = u + 1
		}
	}
	if id <= high {
		return id, nil
	}
	for id = low; id <= high; id++ {
		if !slices.Contains(used, id) {
			return id, nil
		}
	}
	return 0, fmt.Errorf("all from %d to %d are taken", low, high)
}

// freeRange finds the first gap of a size between the ranges of a subuid file.
func freeRange(lines table, low, high, count int) (int, bool) {
	type span struct{ from, n int }
	var taken []span
	for _, l := range lines {
		if len(l) != 3 {
			continue
		}
		from, err1 := strconv.Atoi(l[1])
		n, err2 := strconv.Atoi(l[2])
		if err1 == nil && err2 == nil {
			taken = append(taken, span{from, n})
		}
	}
	slices.SortFunc(taken, func(a, b span) int { return a.from - b.from })
	start := low
	for _, s := range taken {
		if s.from-start >= count {
			break
		}
		start = max(start, s.from+s.n)
	}
	return start, start <= math.MaxInt32*2 && start+count-1 <= high
}
