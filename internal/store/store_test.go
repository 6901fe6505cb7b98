package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/imgspecd/imgspecd/api"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOpenIsExclusive(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Dir != dir {
		t.Fatalf("second Open: %v, want a LockedError for %s", err, dir)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestOpenRefusedLeavesTmpAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	w, err := s.NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Fatal("second Open succeeded")
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(""); err != nil {
		t.Fatalf("a refused Open broke a blob in the making: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(filepath.Join(dir, "wheels"), 0o777); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := s.PutBlob([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", p, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBlob(t *testing.T) {
	s := open(t, t.TempDir())
	const hello = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	for range 2 { // twice is harmless
		w, err := s.NewBlob()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "hel")
		io.WriteString(w, "lo")
		if err := w.Commit(hello); err != nil {
			t.Fatal(err)
		}
		w.Abort()
	}
	if size, ok := s.Has(hello); !ok || size != 5 {
		t.Errorf("Has = %d, %v", size, ok)
	}
	f, err := s.OpenBlob(hello)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, _ := io.ReadAll(f); string(b) != "hello" {
		t.Errorf("blob is %q", b)
	}

	w, _ := s.NewBlob()
	io.WriteString(w, "something else")
	if err := w.Commit(hello); err == nil || !strings.Contains(err.Error(), "expected "+hello) {
		t.Errorf("Commit of other bytes: %v", err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after a failed Commit succeeded")
	}
	w, _ = s.NewBlob()
	io.WriteString(w, "dropped")
	w.Abort()
	if left := files(t, s.Tmp()); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
	if blobs := files(t, filepath.Join(s.Dir(), "blobs", "sha256")); len(blobs) != 1 {
		t.Errorf("blobs: %v", blobs)
	}
}

func TestBadDigests(t *testing.T) {
	s := open(t, t.TempDir())
	for _, d := range []string{"", "sha256:", "sha256:../../imgspecd.db", "md5:00", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("a", 63)} {
		if _, err := s.OpenBlob(d); err == nil {
			t.Errorf("OpenBlob(%q) succeeded", d)
		}
		if _, ok := s.Has(d); ok {
			t.Errorf("Has(%q)", d)
		}
	}
	if _, err := s.OpenBlob("sha256:" + strings.Repeat("a", 64)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing blob: %v", err)
	}
}

func TestManyBlobsAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			digest, err := s.PutBlob(fmt.Appendf(nil, "blob %d", i%8))
			if err == nil {
				size, _ := s.Has(digest)
				err = s.PutLayer(fmt.Sprintf("key %d", i), LayerRecord{Digest: digest, Size: size})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 64 {
		if _, ok := s.Layer(fmt.Sprintf("key %d", i)); !ok {
			t.Errorf("layer %d is missing", i)
		}
	}
	if left := files(t, s.Tmp()); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestLayerWhoseBlobIsGone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	digest, err := s.PutBlob([]byte("layer"))
	if err != nil {
		t.Fatal(err)
	}
	r := LayerRecord{Digest: digest, DiffID: "sha256:d", Size: 5, Installed: 10, Files: 2}
	if err := s.PutLayer("k", LayerRecord{Digest: digest, Size: 6}); err == nil {
		t.Error("a record with the wrong size was accepted")
	}
	if err := s.PutLayer("k", r); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir)
	if got, ok := s.Layer("k"); !ok || !reflect.DeepEqual(got, r) {
		t.Fatalf("Layer = %+v, %v", got, ok)
	}
	path, _ := s.BlobPath(digest)
	if err := os.Truncate(path, 0); err != nil { // what a power cut leaves on some file systems
		t.Fatal(err)
	}
	if _, ok := s.Layer("k"); ok {
		t.Error("a layer with a truncated blob was returned")
	}
	if _, err := s.PutBlob([]byte("layer")); err != nil { // making it again heals it
		t.Fatal(err)
	}
	if _, ok := s.Layer("k"); !ok {
		t.Error("the layer is not healed")
	}
	os.Remove(path)
	if _, ok := s.Layer("k"); ok {
		t.Error("a layer without blob was returned")
	}
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add := func(name string) error {
		return s.UpdateIndex(func(m *v1.IndexManifest) error {
			m.Manifests = append(m.Manifests, v1.Descriptor{
				MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 2,
				Digest:      v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)},
				Annotations: map[string]string{"org.opencontainers.image.ref.name": name},
			})
			return nil
		})
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := add(fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	index, err := s.ReadIndex()
	if err != nil || len(index.Manifests) != 20 {
		t.Fatalf("%d manifests, %v", len(index.Manifests), err)
	}
	stop := errors.New("stop")
	if err := s.UpdateIndex(func(m *v1.IndexManifest) error { m.Manifests = nil; return stop }); !errors.Is(err, stop) {
		t.Errorf("UpdateIndex = %v", err)
	}
	if index, _ = s.ReadIndex(); len(index.Manifests) != 20 {
		t.Error("a failed change was written")
	}
	before, _ := os.Stat(s.indexPath())
	s.UpdateIndex(func(*v1.IndexManifest) error { return nil })
	if after, _ := os.Stat(s.indexPath()); !os.SameFile(before, after) {
		t.Error("an unchanged index was written")
	}
	p, err := layout.FromPath(dir) // another reader of the format agrees
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.ImageIndex(); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedIndexIsSetAside(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	if err := os.Truncate(filepath.Join(dir, "index.json"), 0); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	index, err := s.ReadIndex()
	if err != nil || len(index.Manifests) != 0 {
		t.Fatalf("%v, %v", index, err)
	}
	if m, _ := filepath.Glob(filepath.Join(dir, "index.json.damaged-*")); len(m) != 1 {
		t.Errorf("set aside: %v", m)
	}
}

func TestRecords(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	at := time.Date(2026, 11, 3, 10, 0, 0, 0, time.UTC)
	set := ""
	p := Project{ID: "p1", Dir: "/home/a/p", Env: map[string]string{"A": "1"}, Shell: map[string]*string{"B": &set, "C": nil}, AddedAt: at}
	r := ReadyImage{Name: "a:b", Digest: "sha256:1", Plan: "k", Label: "p/a", At: at, Content: map[string]string{"python": "3.12"}, Packages: []Package{{"x", "1"}}}
	h := []Naming{{Name: "a:0", Spec: json.RawMessage(`{"name":"a"}`), Ready: true, At: at}, {Name: "a:b", At: at}}
	for _, err := range []error{s.PutProject(p), s.PutReadyImage(r), s.PutHistory("p/a", h), s.PutBase("sha256:b", []byte("base")), s.PutFound("f", []byte("{}"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = open(t, dir)
	ps, err := s.Projects()
	if err != nil || len(ps) != 1 || ps[0].Env["A"] != "1" || !ps[0].AddedAt.Equal(at) ||
		len(ps[0].Shell) != 2 || ps[0].Shell["B"] == nil || ps[0].Shell["C"] != nil {
		t.Errorf("Projects = %+v, %v", ps, err)
	}
	if got, ok := s.ReadyImage("a:b"); !ok || !reflect.DeepEqual(got, r) {
		t.Errorf("ReadyImage = %+v, %v", got, ok)
	}
	if got := s.History("p/a"); len(got) != 2 || got[0].Name != "a:0" || !got[0].Ready || string(got[0].Spec) != string(h[0].Spec) || got[1].Name != "a:b" {
		t.Errorf("History = %+v", got)
	}
	if b, ok := s.Base("sha256:b"); !ok || string(b) != "base" {
		t.Errorf("Base = %q, %v", b, ok)
	}
	if b, ok := s.Found("f"); !ok || string(b) != "{}" {
		t.Errorf("Found = %q, %v", b, ok)
	}
	for _, err := range []error{s.DeleteProject("p1"), s.DeleteProject("p1")} {
		if err != nil {
			t.Error(err)
		}
	}
	if ps, _ := s.Projects(); len(ps) != 0 {
		t.Errorf("Projects after delete = %v", ps)
	}
}

func TestCachesAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range keepBases + 10 {
		if err := s.PutBase(fmt.Sprint(i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.Base("9"); ok {
		t.Error("an old base is still there")
	}
	if _, ok := s.Base("10"); !ok {
		t.Error("too many bases went")
	}
}

func TestBuildHistoryIsBounded(t *testing.T) {
	s := open(t, t.TempDir())
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	put := func(i int, state api.State) {
		t.Helper()
		b := api.Build{ID: fmt.Sprintf("b%04d", i), Created: at.Add(time.Duration(i) * time.Second), State: state}
		if err := os.WriteFile(s.LogPath(b.ID), []byte("log"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.PutBuild(b); err != nil {
			t.Fatal(err)
		}
	}
	put(0, api.Building) // the oldest of all still runs
	for i := 1; i < KeepBuilds+5; i++ {
		put(i, api.Ready)
	}
	all, err := s.Builds()
	if err != nil || len(all) != KeepBuilds {
		t.Fatalf("%d builds, %v", len(all), err)
	}
	if all[0].ID != "b0204" || all[len(all)-1].ID != "b0000" || all[len(all)-2].ID != "b0006" {
		t.Errorf("newest %s, oldest %s, before it %s", all[0].ID, all[len(all)-1].ID, all[len(all)-2].ID)
	}
	if _, ok := s.Build("b0001"); ok {
		t.Error("an old build is still there")
	}
	if logs := files(t, s.Logs()); len(logs) != KeepBuilds {
		t.Errorf("%d logs", len(logs))
	}
}

// A writer killed at any moment leaves only blobs that are what their name says, and an empty tmp/ at the next start.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv("STORE_TEST_WRITER"); dir != "" {
		writeForever(dir)
	}
	dir := t.TempDir()
	for i := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
		cmd.Env = append(os.Environ(), "STORE_TEST_WRITER="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(30+17*i) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
	}
	s := open(t, dir)
	if left := files(t, s.Tmp()); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
	for _, name := range files(t, s.blobDir.path) {
		b, err := os.ReadFile(filepath.Join(s.blobDir.path, name))
		if err != nil {
			t.Fatal(err)
		}
		if digest, _ := s.PutBlob(b); digest != "sha256:"+name {
			t.Errorf("blob %s holds %s", name, digest)
		}
	}
	index, err := s.ReadIndex()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range index.Manifests {
		if size, ok := s.Has(m.Digest.String()); !ok || size != m.Size {
			t.Errorf("index names %s, which is not there in full", m.Digest)
		}
		if _, ok := s.Layer(m.Digest.String()); !ok {
			t.Errorf("no record of %s", m.Digest)
		}
	}
}

func writeForever(dir string) {
	s, err := Open(dir)
	if err != nil {
		os.Exit(1)
	}
	for i := 0; ; i++ {
		digest, err := s.PutBlob(bytes.Repeat(fmt.Appendf(nil, "%d %d ", os.Getpid(), i), 20000))
		if err != nil {
			os.Exit(1)
		}
		size, _ := s.Has(digest)
		s.PutLayer(digest, LayerRecord{Digest: digest, Size: size})
		s.UpdateIndex(func(m *v1.IndexManifest) error {
			h, err := v1.NewHash(digest)
			m.Manifests = []v1.Descriptor{{Digest: h, Size: size}}
			return err
		})
	}
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small tmpfs")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a tmpfs: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(make([]byte, 2<<20))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Write on a full disk: %v", err)
	}
	if err := w.Commit(""); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Commit after it: %v", err)
	}
	if left := files(t, s.Tmp()); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
	fill(t, filepath.Join(dir, "fill"))
	before, _ := os.ReadFile(s.indexPath())
	err = s.UpdateIndex(func(m *v1.IndexManifest) error {
		m.Annotations = map[string]string{"a": strings.Repeat("x", 100000)}
		return nil
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("UpdateIndex on a full disk: %v", err)
	}
	if after, _ := os.ReadFile(s.indexPath()); !bytes.Equal(before, after) || !json.Valid(after) {
		t.Error("the index was changed")
	}
	if err := s.PutBase("k", make([]byte, 200000)); err == nil {
		t.Error("PutBase on a full disk succeeded")
	}
	os.Remove(filepath.Join(dir, "fill"))
	if err := s.PutBase("k", []byte("v")); err != nil {
		t.Errorf("PutBase after room was made: %v", err)
	}
	if _, err := s.PutBlob([]byte("x")); err != nil {
		t.Errorf("PutBlob after room was made: %v", err)
	}
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
