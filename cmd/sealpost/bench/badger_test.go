package bench

import (
	"context"
	"crypto/sha256"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
	"github.com/sealpost/sealpost/relay/relayserver"
	"github.com/sealpost/sealpost/relay/session"
)

// relayHere serves dir until the returned function is called.
func relayHere(t *testing.T, dir string) (address string, stop func()) {
	t.Helper()
	cert, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewPrivateKey(sha256.Sum256([]byte("a bench's relay")))
	if err != nil {
		t.Fatal(err)
	}
	server, err := relayserver.Open(relayserver.Config{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	ls, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: server, TLSConfig: cert.ServerConfig(), ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		web.ServeTLS(ls, "", "")
		close(served)
	}()
	a := relay.Address{Host: ls.Addr().String(), Key: key.Public(), Pin: new(relay.Hash(cert.Pin()))}
	return a.String(), func() {
		web.Close()
		<-served
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// records counts a store's records by kind and size.
func records(t *testing.T, dir string) map[recordShape]int {
	t.Helper()
	db, err := badger.OpenManaged(shard.Options(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found := map[recordShape]int{}
	txn := db.NewTransactionAt(1<<40, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.DefaultIteratorOptions)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		found[recordShape{item.Key()[0], len(item.Key()), int(item.ValueSize())}]++
	}
	return found
}

func TestLoadSendsAndReadsEverything(t *testing.T) {
	address, stop := relayHere(t, t.TempDir())
	defer stop()
	var l load
	if err := l.open(t.Context(), openLoad{Address: address, Connections: 3, Queues: 2, Window: 8, Transport: relayclient.WebSocket}); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, send := range []func(int) (loadDone, error){l.append, l.alone} {
		if done, err := send(90); err != nil || done.Messages != 90 || done.Seconds <= 0 || done.Median <= 0 {
			t.Errorf("sent %+v, %v", done, err)
		}
	}
	if done, err := l.read(); err != nil || done.Messages != 180 {
		t.Errorf("read %d messages of 180: %v", done.Messages, err)
	}
}

func TestRawSideWritesWhatTheRelayWrites(t *testing.T) {
	const messages, queues = 600, 4
	dir := t.TempDir()
	address, stop := relayHere(t, dir)
	var l load
	if err := l.open(t.Context(), openLoad{Address: address, Connections: 2, Queues: queues / 2, Window: 8, Transport: relayclient.WebSocket}); err != nil {
		t.Fatal(err)
	}
	if done, err := l.append(messages); err != nil || done.Messages != messages {
		t.Fatal(done, err)
	}
	l.close()
	stop()
	theirs := records(t, filepath.Join(dir, "badger"))

	raw := t.TempDir()
	db, err := badger.OpenManaged(shard.Options(filepath.Join(raw, "badger")).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	log, err := shard.OpenLog(filepath.Join(raw, "badger"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	mark, err := os.Create(filepath.Join(raw, "mark"))
	if err != nil {
		t.Fatal(err)
	}
	defer mark.Close()
	if err := newRawWriter(db, log, mark, queues).write(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	ours := records(t, filepath.Join(raw, "badger"))
	for shape, n := range map[recordShape]int{entryRecord: messages, memoryRecord: messages, headerRecord: queues} {
		if ours[shape] != n || theirs[shape] != n {
			t.Errorf("of %+v the raw side wrote %d, the relay %d, for %d messages; all of the relay's: %+v", shape, ours[shape], theirs[shape], messages, theirs)
		}
	}
	if ours[batchRecord] != (messages+batchMessages-1)/batchMessages || theirs[batchRecord] == 0 {
		t.Errorf("batch records: the raw side wrote %d, the relay %d", ours[batchRecord], theirs[batchRecord])
	}
}
