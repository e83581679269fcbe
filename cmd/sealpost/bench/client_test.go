package bench

import (
	"testing"

	"github.com/sealpost/sealpost/clientlib/content"
)

// Both sides of the client's figures hold the same messages, and find them.
func TestAppAndBareStoreFindTheirMessages(t *testing.T) {
	const messages = 12
	var a app
	if err := a.begin(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer func() { a.client.Close() }()
	bare := bareStore{path: t.TempDir() + "/bare.db"}
	if err := bare.open(); err != nil {
		t.Fatal(err)
	}
	defer func() { bare.conn.Close() }()
	if err := bare.create(); err != nil {
		t.Fatal(err)
	}
	for n := range messages {
		if _, err := a.client.Send(t.Context(), a.talk, content.Text(text(n))); err != nil {
			t.Fatal(err)
		}
		if err := bare.insert(); err != nil {
			t.Fatal(err)
		}
	}
	for _, reopen := range []func(int) (loadDone, error){a.reopen, bare.reopen} {
		if done, err := reopen(2); err != nil || done.Messages != 2 || done.Median <= 0 {
			t.Errorf("%+v, %v", done, err)
		}
	}
	for n := range messages {
		found, err := a.client.Search(t.Context(), word(n), 20)
		if err != nil || len(found) != 1 {
			t.Errorf("the app finds %d messages with %q: %v", len(found), word(n), err)
		}
		if err := bare.search(word(n)); err != nil {
			t.Error(err)
		}
	}
	if bare.search("no such word") == nil {
		t.Error("the bare side finds what is not there")
	}
}
