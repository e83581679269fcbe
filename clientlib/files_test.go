package clientlib

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"testing"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/history"
)

// files lists the messages of a conversation that have a file.
func (u *user) files(id ConversationID) (out []history.Entry) {
	u.t.Helper()
	for en, err := range u.History(u.ctx(), id) {
		u.must(err)
		if m, err := content.Decode(en.Body); err == nil && len(m.Files()) > 0 {
			out = append(out, en)
		}
	}
	return out
}

// spooled counts what lies in the folder of files in transit.
func (u *user) spooled() int {
	u.t.Helper()
	entries, err := os.ReadDir(u.cfg.Path + ".files")
	u.must(err)
	return len(entries)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// TestFileArrives: a file goes to both members of a conversation, with its name and caption;
// neither end keeps it lying about afterwards, and what was written after it did not wait.
func TestFileArrives(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	photo := randomBytes(3 << 20)
	what := content.File{Name: "../secret/photo.jpg", Type: "image/jpeg"}
	message := need[MessageID](t)(alice.SendFile(alice.ctx(), id, "look", what, bytes.NewReader(photo)))
	alice.say(id, "did not wait")
	bob.awaitText("did not wait")
	bob.await("the file", func(events []Event) bool {
		for _, ev := range events {
			if ev.Kind == EventMessage && ev.Message == message {
				return true
			}
		}
		return false
	})
	for _, u := range []*user{bob, alice} {
		found := u.files(id)
		if len(found) != 1 {
			t.Fatalf("%s has %d files", u.name, len(found))
		}
		m := need[*content.Message](t)(content.Decode(found[0].Body))
		if f := m.Files()[0]; f.Name != "photo.jpg" || f.Type != "image/jpeg" || f.Size != int64(len(photo)) {
			t.Errorf("%s sees %s (%s) of %d bytes", u.name, f.Name, f.Type, f.Size)
		}
		var got bytes.Buffer
		u.must(u.SaveFile(u.ctx(), found[0], 0, &got))
		if !bytes.Equal(got.Bytes(), photo) {
			t.Errorf("%s got %d other bytes", u.name, got.Len())
		}
		if err := u.SaveFile(u.ctx(), found[0], 1, &got); !errors.Is(err, ErrNoFile) {
			t.Errorf("a second file: %v", err)
		}
		u.until("the folder is empty", func() bool { return u.spooled() == 0 })
	}
}

// TestFileWaits: a file sent offline is sealed and on disk, survives the end of the program and
// of its source, and arrives when there is a network.
func TestFileWaits(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	bob.close()
	s.stop()
	photo := randomBytes(200_000)
	need[MessageID](t)(alice.SendFile(alice.ctx(), id, "", content.File{Name: "a.txt"}, bytes.NewReader(photo)))
	alice.close()
	if raw, err := os.ReadFile(alice.cfg.Path); err != nil || bytes.Contains(raw, photo[:64]) {
		t.Errorf("the store holds the file in the clear: %v", err)
	}
	alice.open()
	bob.open()
	s.start()
	bob.awaitKind(EventMessage, 1)
	var got bytes.Buffer
	bob.must(bob.SaveFile(bob.ctx(), bob.files(id)[0], 0, &got))
	if !bytes.Equal(got.Bytes(), photo) {
		t.Error("another file")
	}
}

// TestC17_FileThatIsAnother: a message whose key, size or hash is not the file's ends in
// ErrBadFile or ErrFileGone.
func TestC17_FileThatIsAnother(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	need[MessageID](t)(alice.SendFile(alice.ctx(), id, "", content.File{Name: "a.txt"}, bytes.NewReader(randomBytes(5000))))
	bob.awaitKind(EventMessage, 1)
	en := bob.files(id)[0]
	f := need[*content.Message](t)(content.Decode(en.Body)).Files()[0]
	for name, c := range map[string]struct {
		change func(*content.File)
		want   error
	}{
		"another key":         {func(f *content.File) { f.Key[0] ^= 1 }, ErrBadFile},
		"another size":        {func(f *content.File) { f.Size++ }, ErrBadFile},
		"a much larger size":  {func(f *content.File) { f.Size *= 1000 }, ErrBadFile},
		"another hash":        {func(f *content.File) { f.Hash[0] ^= 1 }, ErrFileGone},
		"in another's groups": {nil, ErrNoFile},
	} {
		bad, claim := en, f
		if c.change != nil {
			c.change(&claim)
			bad.Body = need[[]byte](t)(need[*content.Message](t)(content.NewAttachment("", claim)).Encode())
		} else {
			bad.Group[0] ^= 1
		}
		var got bytes.Buffer
		// A length that lies within the padding shows only at the end of what opens.
		if err := bob.SaveFile(bob.ctx(), bad, 0, &got); !errors.Is(err, c.want) || got.Len() > 0 && name != "another size" {
			t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
		}
	}
}
