package state

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"lukechampine.com/adiantum"
	"lukechampine.com/adiantum/hbsh"
)

// SQLite's file formats (sqlite.org/fileformat.html, sections 1.3.1 and 3).
const (
	pageSize     = 4096 // SQLite's page and the encrypting VFS's block
	databaseMark = "SQLite format 3\x00"
	journalMark  = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
)

// scanPages is how many pages are looked at to tell damage from a wrong key: a database whose
// first quarter megabyte is all damaged may be called a wrong key.
const scanPages = 64

// checkKey decides whether key is the database's before SQLite sees either: with a wrong key
// a journal looks like rubbish, and SQLite would discard it and with it the way back to a
// whole database.
//
// The key is right if the database starts as one, or its journal does: while the first page
// is written in place, the journal is there to restore it. If neither does, some other page
// that makes sense proves that the key is right and the file damaged. suspect is true if the
// journal is not empty and not readable; then either a crash came before the journal was
// complete (and the database is untouched), or the journal is damaged.
func checkKey(path string, key secret) (suspect bool, err error) {
	cipher := adiantum.New(key[:])
	db, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer db.Close()
	journal, err := os.Open(path + "-journal")
	if err != nil {
		return false, err
	}
	defer journal.Close()

	first, err := readPage(db, cipher, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	undo, undoErr := readPage(journal, cipher, 0)
	if undoErr != nil && !errors.Is(undoErr, io.EOF) {
		return false, undoErr
	}
	undone := undoErr == nil && string(undo[:len(journalMark)]) == journalMark
	if undone {
		return false, nil
	}
	info, statErr := journal.Stat()
	if statErr != nil {
		return false, statErr
	}
	if err == nil && string(first[:len(databaseMark)]) == databaseMark {
		return info.Size() > 0, nil
	}
	if info, err = db.Stat(); err != nil {
		return false, err
	}
	switch {
	case info.Size() == 0:
		return false, nil // new
	case info.Size()%pageSize != 0:
		return false, &Corrupt{Where: "file size"}
	}
	for page := int64(1); page < scanPages; page++ {
		b, err := readPage(db, cipher, page)
		if err != nil {
			break
		}
		if plausiblePage(b) {
			return false, &Corrupt{Where: "first page"}
		}
	}
	return false, ErrWrongKey
}

// readPage reads and decrypts one page as the VFS does: the tweak is the offset.
func readPage(f *os.File, cipher *hbsh.HBSH, page int64) ([]byte, error) {
	b := make([]byte, pageSize)
	if _, err := f.ReadAt(b, page*pageSize); err != nil {
		return nil, err
	}
	var tweak [8]byte
	binary.LittleEndian.PutUint64(tweak[:], uint64(page*pageSize))
	return cipher.Decrypt(b, tweak[:]), nil
}

// plausiblePage reports whether b is a page of a B-tree (section 1.6): a known type, and cell
// pointers that all lie in the cell area. A wrong key passes with a chance below 2^-20.
func plausiblePage(b []byte) bool {
	header := 8
	switch b[0] {
	case 2, 5:
		header = 12
	case 10, 13:
	default:
		return false
	}
	cells := int(binary.BigEndian.Uint16(b[3:]))
	area := int(binary.BigEndian.Uint16(b[5:]))
	if cells == 0 || cells > pageSize/4 || area < header+2*cells || area >= pageSize {
		return false
	}
	for i := range cells {
		if p := int(binary.BigEndian.Uint16(b[header+2*i:])); p < area || p > pageSize-4 {
			return false
		}
	}
	return binary.BigEndian.Uint16(b[1:]) < pageSize && b[7] <= 60
}
