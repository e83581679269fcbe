package clientlib

import (
	"bytes"
	"errors"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// Where a commit's bytes stand. The numbers are the wire's.
const (
	commitInline uint8 = 1 // behind the number
	commitInBlob uint8 = 2 // in a blob of the queue, which the COMMIT keeps
)

const (
	// maxInline is the largest commit that stands in its envelope. An envelope goes through
	// the network whole or not at all, and holds up the queue meanwhile; a blob is fetched
	// in parts, over a session of its own, and goes on where a connection broke. 100 members
	// added at once are beyond it, one member added to any group is not.
	maxInline = 60 << 10
	// maxInEnvelope is the largest one where the relay has no room for blobs: a member who
	// fills the queue's quota must not keep the others from removing it.
	maxInEnvelope = maxEnvelope - envelopeExtra - 1
	// maxCommit bounds what a member fetches for one commit: a path for 30,000 members of
	// today's suites, or for 10,000 with ML-KEM.
	maxCommit = 16 << 20
	// commitDays is how long the blob of a commit that lost is kept; the one that won stays as
	// long as its entry.
	commitDays = 2
)

var errBadCommit = errors.New("clientlib: COMMIT encloses neither a commit nor where it is")

// commitContent is what the envelope of a COMMIT encloses:
//
//	struct { uint8 where; select (where) {
//	    case 1: opaque commit[rest];                          // MLSMessage
//	    case 2: opaque hash[32]; opaque key[32]; uint64 size; // of a sealed file
//	} }
type commitContent struct {
	message []byte
	blob    *sealedfile.Info
}

func (c *commitContent) MarshalWire(w *wire.Writer) {
	if c.blob == nil {
		w.Uint8(commitInline)
		w.Raw(c.message)
		return
	}
	w.Uint8(commitInBlob)
	w.Raw(c.blob.Hash[:])
	w.Raw(c.blob.Key[:])
	w.Uint64(uint64(c.blob.Plain))
}

func (c *commitContent) UnmarshalWire(r *wire.Reader) {
	switch r.Uint8() {
	case commitInline:
		c.message = r.Rest()
	case commitInBlob:
		c.blob = new(sealedfile.Info)
		r.Copy(c.blob.Hash[:])
		r.Copy(c.blob.Key[:])
		size := r.Uint64()
		if size > maxCommit {
			r.Fail(errBadCommit)
		}
		c.blob.Plain = int64(size)
	default:
		r.Fail(errBadCommit)
	}
}

// encloseCommit returns the envelope of a commit, and its blob if it has more than inline bytes.
func encloseCommit(keys *epochKeys, message []byte, inline int) (envelope, blob []byte, hash relay.Hash, err error) {
	c := &commitContent{message: message}
	if len(message) > inline {
		var out bytes.Buffer
		info, err := sealedfile.Seal(&out, bytes.NewReader(message), 0)
		if err != nil {
			return nil, nil, hash, err
		}
		c.blob, blob, hash = &info, out.Bytes(), info.Hash
	}
	content, err := wire.Marshal(c)
	if err != nil {
		return nil, nil, hash, err
	}
	envelope, err = keys.seal(relay.KindCommit, content)
	return envelope, blob, hash, err
}

// discloseCommit opens the envelope of a COMMIT. What it says about a blob counts only if the
// entry keeps that blob, which the log makes the same for all: whoever names one that it did
// not bring has made a dud.
func discloseCommit(keys *epochKeys, envelope []byte, kept []relay.Hash) (*commitContent, error) {
	content, err := keys.open(relay.KindCommit, envelope)
	if err != nil {
		return nil, err
	}
	c := new(commitContent)
	if err := wire.Unmarshal(content, c); err != nil {
		return nil, errBadCommit
	}
	if c.blob != nil && !slices.Contains(kept, relay.Hash(c.blob.Hash)) {
		return nil, errBadCommit
	}
	return c, nil
}

// commitMessage returns the commit, from the envelope or from the blob that was fetched.
func (c *commitContent) commitMessage(blob []byte) ([]byte, error) {
	if c.blob == nil {
		return c.message, nil
	}
	var out bytes.Buffer
	if err := sealedfile.Open(&out, bytes.NewReader(blob), *c.blob); err != nil {
		return nil, errors.Join(errBadCommit, mls.ErrInvalidCommit, err)
	}
	return out.Bytes(), nil
}
