package queue

import (
	"crypto/sha256"
	"errors"
	"io"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// eachBlob calls fn for every blob's record that can be read, and reports the others if asked to.
func (c *checker) eachBlob(report bool, fn func(name blob.Name, rec blobRecord)) error {
	return c.snap.Records([]byte{kindBlob}, nil, func(key, value []byte, err error) bool {
		var rec blobRecord
		switch {
		case err == nil && len(key) == 1+len(blob.Name{}) && wire.Unmarshal(value, &rec) == nil:
			fn(blob.Name(key[1:]), rec)
		case report:
			c.findRecord(key, meansBlob, "a blob's record cannot be read")
		}
		return c.ctx.Err() == nil
	})
}

// sumBlobs counts what the blobs of each queue and of all take up.
func (c *checker) sumBlobs() error {
	total := uint64(0)
	err := c.eachBlob(true, func(_ blob.Name, rec blobRecord) {
		c.stored[rec.Queue] += blobBytes(rec.Size)
		total += blobBytes(rec.Size)
	})
	if err != nil {
		return err
	}
	var counted stored64
	key := []byte{kindStored}
	value, ok, err := c.snap.Get(key)
	if err != nil || ok && wire.Unmarshal(value, &counted) != nil {
		c.findRecord(key, "no blob can be stored; "+shard.MeansRestore, "the count of all blobs' bytes cannot be read")
	} else if uint64(counted) != total {
		c.findRecord(key, "only the relay's quota is counted wrong; tell the project, since no damage does this alone",
			"all blobs count for %d bytes, and %d is noted", total, uint64(counted))
	}
	return nil
}

// blobs compares each blob's record with the entries that name it and with its file.
func (c *checker) blobs() error {
	err := c.eachBlob(false, func(name blob.Name, rec blobRecord) {
		key := blobKey(name)
		if pins := c.pins[name]; pins != rec.Pins && !c.gone(rec.Queue) {
			c.findRecord(key, "a blob is kept too long, or erased before the commits that need it; tell the project, since no damage does this alone",
				"%d commits name a blob that counts %d", pins, rec.Pins)
		}
		if rec.State == blobComplete && c.files != nil {
			c.file(name, rec)
		}
		delete(c.pins, name)
	})
	if err != nil {
		return err
	}
	for name := range c.pins {
		c.findRecord(blobKey(name), "members that come late cannot follow a commit; they knock and are added again", "commits name a blob that has no record")
	}
	return nil
}

// gone tells whether a queue is erased or being erased: its blobs follow.
func (c *checker) gone(name [nameBytes]byte) bool {
	b, ok, err := openBooks(c.snap, c.namer, name[:])
	return err == nil && (!ok || b.header.State == stateGone)
}

// file reads a blob's file: its name tells whether its bytes are right.
func (c *checker) file(name blob.Name, rec blobRecord) {
	key := blobKey(name)
	f, err := c.files.Open(name, int64(rec.Size))
	if errors.Is(err, blob.ErrMissing) {
		c.findRecord(key, meansBlob, "the file of a blob is missing, or of another size")
		return
	}
	if err == nil {
		defer f.Close()
		sum := sha256.New()
		if _, err = io.Copy(sum, stopping{c.ctx, f}); err == nil {
			hash := [32]byte(sum.Sum(nil))
			if (&books{namer: c.namer, name: rec.Queue[:]}).blobName(hash) != name {
				c.findRecord(key, "whoever fetches the blob finds that it is not what was sent; remove its file and restart, and its sender's devices store it again",
					"the bytes of a blob are damaged")
			}
			return
		}
	}
	if c.ctx.Err() == nil {
		c.findRecord(key, meansBlob, "the file of a blob cannot be read: %v", err)
	}
}
