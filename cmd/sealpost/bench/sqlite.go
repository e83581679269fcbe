package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // the VFS that encrypts, as under clientlib

	"github.com/sealpost/sealpost/internal/measure"
)

// rowSize is the payload of the bare side's rows, in bytes: about what a sent message puts
// into the history, its search index and the outbox.
const rowSize = 1024

// useSQLite is the role of the floor under the client: the same SQLite with the same
// encryption, journal and syncs, one table and no index.
func useSQLite(_ context.Context, d *measure.Desk, _ Cast) error {
	var s bareStore
	err := measure.Serve(d, func(q storeRequest) (loadDone, error) {
		if s.conn == nil {
			s.path = filepath.Join(q.Dir, "bare.db")
			if err := s.open(); err != nil {
				return loadDone{}, err
			}
			if err := s.create(); err != nil {
				return loadDone{}, err
			}
		}
		switch {
		case q.Send > 0:
			return timed(q.Send, func(int) error { return s.insert() })
		case q.Search > 0:
			return timed(q.Search, func(i int) error { return s.search(word(i * s.rows / q.Search)) })
		case q.Open > 0:
			return s.reopen(q.Open)
		}
		return loadDone{}, errors.New("an empty request")
	})
	if s.conn != nil {
		err = errors.Join(err, s.conn.Close())
	}
	return err
}

type bareStore struct {
	path string
	conn *sqlite3.Conn
	rows int
}

// open opens the file with the pragmas of clientlib's store.
func (s *bareStore) open() (err error) {
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(s.path), RawQuery: "vfs=adiantum"}
	if s.conn, err = sqlite3.Open(uri.String()); err != nil {
		return err
	}
	if err := s.conn.Exec(fmt.Sprintf("PRAGMA hexkey='%x'", make([]byte, 32))); err != nil {
		return err
	}
	return s.conn.Exec(`PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE;
		PRAGMA synchronous=FULL; PRAGMA fullfsync=ON; PRAGMA temp_store=MEMORY;
		PRAGMA secure_delete=ON; PRAGMA cache_size=-8192; BEGIN EXCLUSIVE; COMMIT`)
}

func (s *bareStore) create() error {
	return s.conn.Exec("CREATE TABLE m(id INTEGER PRIMARY KEY, body TEXT, payload BLOB)")
}

// insert stores one row in a transaction of its own.
func (s *bareStore) insert() error {
	payload := make([]byte, rowSize)
	_, _ = rand.Read(payload)
	stmt, _, err := s.conn.Prepare("INSERT INTO m(body, payload) VALUES (?, ?)")
	if err != nil {
		return err
	}
	err = errors.Join(stmt.BindText(1, text(s.rows)), stmt.BindBlob(2, payload), stmt.Exec(), stmt.Close())
	s.rows++
	return err
}

// search reads every row.
func (s *bareStore) search(word string) error {
	stmt, _, err := s.conn.Prepare("SELECT id FROM m WHERE body LIKE ? ORDER BY id DESC LIMIT 20")
	if err != nil {
		return err
	}
	err = stmt.BindText(1, "%"+word+"%")
	found := 0
	for stmt.Step() {
		found++
	}
	if err = errors.Join(err, stmt.Err(), stmt.Close()); err == nil && found == 0 {
		err = errors.New("a row is not found")
	}
	return err
}

func (s *bareStore) reopen(times int) (loadDone, error) {
	var took []float64
	for range times {
		if err := s.conn.Close(); err != nil {
			return loadDone{}, err
		}
		start := time.Now()
		if err := s.open(); err != nil {
			return loadDone{}, err
		}
		if err := s.search(word(0)); err != nil {
			return loadDone{}, err
		}
		took = append(took, micros(start))
	}
	return loadDone{Messages: times, Median: measure.Median(took)}, nil
}
