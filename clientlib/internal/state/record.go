package state

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
)

// counters is the bucket of [Tx.NextID]. Buckets that start with reserved are the package's own.
const (
	reserved = "state."
	counters = reserved + "counters"
)

// A scan reads this many records, or bytes, before it hands them out: between two reads the
// caller may change the bucket.
const (
	scanRecords = 64
	scanBytes   = 256 << 10
)

// MAC authenticates a row of a package's own table: label names the table and the version
// of its row format, fields are the row's columns in a fixed order. It has [MACSize] bytes
// and is nil once the transaction has ended.
func (tx *Tx) MAC(label string, fields ...[]byte) []byte {
	if tx.done {
		return nil
	}
	return tx.db.mac.sum("row "+label, fields...)
}

// VerifyMAC returns [ErrCorrupt] if mac is not the MAC of label and fields.
func (tx *Tx) VerifyMAC(mac []byte, label string, fields ...[]byte) error {
	if tx.done {
		return ErrTxDone
	}
	if !hmac.Equal(mac, tx.MAC(label, fields...)) {
		return &Corrupt{Where: "row of " + label}
	}
	return nil
}

// Put stores value under key in bucket. The MAC binds the three together.
func (tx *Tx) Put(bucket string, key, value []byte) error {
	if strings.HasPrefix(bucket, reserved) {
		return fmt.Errorf("state: bucket %q is reserved", bucket)
	}
	return tx.put(bucket, key, value)
}

func (tx *Tx) put(bucket string, key, value []byte) error {
	if tx.done {
		return ErrTxDone
	}
	sealed := append(tx.db.mac.sum("kv "+bucket, key, value), value...)
	_, err := tx.Exec("INSERT INTO kv (bucket, k, v) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET v = excluded.v",
		bucket, key, sealed)
	return err
}

// open checks a stored record and returns its value.
func (tx *Tx) open(bucket string, key, sealed []byte) ([]byte, error) {
	if len(sealed) < MACSize || !hmac.Equal(sealed[:MACSize], tx.db.mac.sum("kv "+bucket, key, sealed[MACSize:])) {
		return nil, &Corrupt{Where: "record in bucket " + bucket}
	}
	return sealed[MACSize:], nil
}

// Get returns the value under key in bucket and whether there is one. A record whose MAC does
// not match is [ErrCorrupt].
func (tx *Tx) Get(bucket string, key []byte) (value []byte, found bool, err error) {
	for row, err := range tx.Query("SELECT v FROM kv WHERE bucket = ? AND k = ?", bucket, key) {
		if err != nil {
			return nil, false, err
		}
		if value, err = tx.open(bucket, key, row.Bytes(0)); err != nil {
			return nil, false, err
		}
		found = true
	}
	return value, found, err
}

// Delete removes the record under key in bucket, if there is one.
func (tx *Tx) Delete(bucket string, key []byte) error {
	if strings.HasPrefix(bucket, reserved) {
		return fmt.Errorf("state: bucket %q is reserved", bucket)
	}
	_, err := tx.Exec("DELETE FROM kv WHERE bucket = ? AND k = ?", bucket, key)
	return err
}

// Record is one entry of a bucket. Key and Value belong to the caller.
type Record struct{ Key, Value []byte }

// Scan iterates over the records of bucket whose keys start with prefix, in the order of their
// keys; an error is the last pair. The loop may change the bucket: whether it then meets what
// it has changed is not specified.
func (tx *Tx) Scan(bucket string, prefix []byte) iter.Seq2[Record, error] {
	return tx.records(bucket, prefix, prefix)
}

// ScanFrom is [Tx.Scan] over the records whose keys are from or greater.
func (tx *Tx) ScanFrom(bucket string, from []byte) iter.Seq2[Record, error] {
	return tx.records(bucket, from, nil)
}

func (tx *Tx) records(bucket string, from, prefix []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		const first = "SELECT k, v FROM kv WHERE bucket = ? AND k >= ? ORDER BY k"
		const next = "SELECT k, v FROM kv WHERE bucket = ? AND k > ? ORDER BY k"
		sql, from := first, from
		for {
			batch, more, err := tx.scan(sql, bucket, from, prefix)
			for _, r := range batch {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			if !more {
				return
			}
			sql, from = next, bytes.Clone(batch[len(batch)-1].Key)
		}
	}
}

// scan reads one batch, which is not empty if there is more.
func (tx *Tx) scan(sql, bucket string, from, prefix []byte) (batch []Record, more bool, err error) {
	size := 0
	for row, err := range tx.Query(sql, bucket, from) {
		if err != nil {
			return batch, false, err
		}
		key := row.Bytes(0)
		if !bytes.HasPrefix(key, prefix) {
			return batch, false, nil
		}
		value, err := tx.open(bucket, key, row.Bytes(1))
		if err != nil {
			return batch, false, err
		}
		batch = append(batch, Record{key, value})
		if size += len(key) + len(value); len(batch) == scanRecords || size >= scanBytes {
			return batch, true, nil
		}
	}
	return batch, false, nil
}

// NextID returns the next number of the counter name: 1, 2, 3, ... A number whose
// transaction was committed is never returned again.
func (tx *Tx) NextID(name string) (uint64, error) {
	value, found, err := tx.Get(counters, []byte(name))
	if err != nil {
		return 0, err
	}
	var n uint64
	if found {
		if len(value) != 8 {
			return 0, &Corrupt{Where: "counter"}
		}
		n = binary.BigEndian.Uint64(value)
	}
	n++
	return n, tx.put(counters, []byte(name), binary.BigEndian.AppendUint64(nil, n))
}
