package operatorlog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestR27_RoomIsReserved: a log has room for hundreds of lines that no other file can take, from the
// start and again before that is used up, and is as long as its lines.
func TestR27_RoomIsReserved(t *testing.T) {
	path := filepath.Join(t.TempDir(), Name)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := allocate(l.f, 0, reserve); err != nil {
		t.Skip("this file system reserves nothing: ", err)
	}
	size := int64(0)
	for n := range 500 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if room := info.Sys().(*syscall.Stat_t).Blocks*512 - info.Size(); room < reserve/2-8192 || info.Size() < size {
			t.Fatalf("after %d lines there is room for %d bytes more, in a file of %d", n, room, info.Size())
		}
		size = info.Size()
		if err := l.Add(Entry{Time: day, Action: "suspend", Subject: "-", User: "-"}); err != nil {
			t.Fatal(err)
		}
	}
	if size < 400*60 {
		t.Errorf("500 lines are %d bytes", size)
	}
}
