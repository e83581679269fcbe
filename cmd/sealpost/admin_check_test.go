package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestR28_CheckOfAServer: a server that runs, one that was killed and one that was stopped are
// sound; a damaged blob and a damaged table are told in words, one line each, whether it runs or
// not, and the exit status says so.
func TestR28_CheckOfAServer(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, ".local", "share", "sealpost", "server")
	server := start(t, home, "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, server)
	k, _ := newTalk(t, g.relay)
	upload(t, k, make([]byte, 100_000))
	l := startLoad(t, k)
	l.until(t, 300)
	check := func(how string, want int, says string) {
		t.Helper()
		status, out, errs := admin(t, home, "check")
		if status != want || !strings.Contains(out, says) {
			t.Errorf("%s: status %d\n%s%s", how, status, out, errs)
		}
		if want != 0 && strings.Count(out, "\n") != 1 {
			t.Errorf("%s: not one line:\n%s", how, out)
		}
	}
	check("under load", 0, "sound: every record opens and they agree with each other (while the server runs)")
	close(l.stop)
	<-l.ended
	server.kill()
	check("killed", 0, "no server runs")
	server = start(t, home, "serve", "--listen", g.relay.Host)
	greeted(t, server)
	files, err := filepath.Glob(filepath.Join(data, blobsFolder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	flip(t, files[0], 5000)
	check("running, with a damaged blob", 1, "the bytes of a blob are damaged")
	server.signal(os.Interrupt)
	server.wait()
	check("stopped, with a damaged blob", 1, "the bytes of a blob are damaged")
	flip(t, files[0], 5000)
	check("stopped", 0, "no server runs")
	tables, err := filepath.Glob(filepath.Join(data, keysFolder, "directory", "badger", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	flip(t, tables[0], 20)
	check("with a damaged table", 1, "keyserver/directory, badger/"+filepath.Base(tables[0])+": a table of records is missing or damaged: the server does not start")
	flip(t, tables[0], 20)

	key := filepath.Join(data, storageKeyFile)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := admin(t, home, "check"); status != 1 || !strings.Contains(errs, "storage key") {
		t.Errorf("without the storage key: status %d, %s%s", status, out, errs)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a check makes a storage key")
	}
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}
