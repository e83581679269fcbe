package relay

import "github.com/sealpost/sealpost/internal/wire"

// StoreBlob begins an upload of a blob to a queue, or goes on with one: sealed bytes named by
// their SHA-256, for attachments and for commits too large for an envelope. The session has
// proven Key, a reader or writer of the queue, whose space it takes. Answered by BLOB with
// what the server has already.
type StoreBlob struct {
	Request uint64
	Queue   QueueID
	Key     PublicKey
	Blob    Hash
	Size    uint64 // bytes; at least 1
	Days    uint16 // how long it is kept, 1 to MaxRetention; 0 is DefaultDays
}

// PutBlob is the next part of an upload that a STORE_BLOB of this session began. Parts come
// in order; the one that completes the blob is answered after the whole is verified and synced.
type PutBlob struct {
	Request uint64
	Queue   QueueID
	Blob    Hash
	Offset  uint64
	Data    []byte // 1 to MaxBlobPart bytes
}

// GetBlob asks for a part of a complete blob. Queue and Blob are the capability: whoever
// knows both may read, over any session.
type GetBlob struct {
	Request uint64
	Queue   QueueID
	Blob    Hash
	Offset  uint64
	Length  uint32 // 1 to MaxBlobPart bytes; less is answered at the end
}

// Blob answers STORE_BLOB and PUT_BLOB.
type Blob struct {
	Request  uint64
	Stored   uint64 // bytes that the server has; an upload goes on here
	Complete bool   // verified, and on disk
}

// BlobData answers GET_BLOB.
type BlobData struct {
	Request uint64
	Size    uint64 // of the whole blob
	Data    []byte
}

// Check returns the *Refusal for contents that no relay takes, or nil.
func (s *StoreBlob) Check() error {
	if s.Size == 0 || s.Days > MaxRetention {
		return ErrMalformed
	}
	return nil
}

// Check returns the *Refusal for contents that no relay takes, or nil.
func (p *PutBlob) Check() error {
	switch {
	case len(p.Data) == 0:
		return ErrMalformed
	case len(p.Data) > MaxBlobPart:
		return ErrTooLarge
	}
	return nil
}

// Check returns the *Refusal for contents that no relay takes, or nil.
func (g *GetBlob) Check() error {
	switch {
	case g.Length == 0:
		return ErrMalformed
	case g.Length > MaxBlobPart:
		return ErrTooLarge
	}
	return nil
}

// Type returns TypeStoreBlob.
func (*StoreBlob) Type() FrameType { return TypeStoreBlob }

// RequestNumber returns s.Request.
func (s *StoreBlob) RequestNumber() uint64 { return s.Request }

// SetRequest sets s.Request.
func (s *StoreBlob) SetRequest(n uint64) { s.Request = n }

// MarshalWire writes the body.
func (s *StoreBlob) MarshalWire(w *wire.Writer) {
	w.Uint64(s.Request)
	w.Raw(s.Queue[:])
	w.Raw(s.Key[:])
	w.Raw(s.Blob[:])
	w.Uint64(s.Size)
	w.Uint16(s.Days)
}

// UnmarshalWire reads the body.
func (s *StoreBlob) UnmarshalWire(r *wire.Reader) {
	s.Request = r.Uint64()
	r.Copy(s.Queue[:])
	r.Copy(s.Key[:])
	r.Copy(s.Blob[:])
	s.Size = r.Uint64()
	s.Days = r.Uint16()
}

// Type returns TypePutBlob.
func (*PutBlob) Type() FrameType { return TypePutBlob }

// RequestNumber returns p.Request.
func (p *PutBlob) RequestNumber() uint64 { return p.Request }

// SetRequest sets p.Request.
func (p *PutBlob) SetRequest(n uint64) { p.Request = n }

// MarshalWire writes the body.
func (p *PutBlob) MarshalWire(w *wire.Writer) {
	w.Uint64(p.Request)
	w.Raw(p.Queue[:])
	w.Raw(p.Blob[:])
	w.Uint64(p.Offset)
	w.Bytes(p.Data)
}

// UnmarshalWire reads the body.
func (p *PutBlob) UnmarshalWire(r *wire.Reader) {
	p.Request = r.Uint64()
	r.Copy(p.Queue[:])
	r.Copy(p.Blob[:])
	p.Offset = r.Uint64()
	p.Data = r.Bytes()
}

// Type returns TypeGetBlob.
func (*GetBlob) Type() FrameType { return TypeGetBlob }

// RequestNumber returns g.Request.
func (g *GetBlob) RequestNumber() uint64 { return g.Request }

// SetRequest sets g.Request.
func (g *GetBlob) SetRequest(n uint64) { g.Request = n }

// MarshalWire writes the body.
func (g *GetBlob) MarshalWire(w *wire.Writer) {
	w.Uint64(g.Request)
	w.Raw(g.Queue[:])
	w.Raw(g.Blob[:])
	w.Uint64(g.Offset)
	w.Uint32(g.Length)
}

// UnmarshalWire reads the body.
func (g *GetBlob) UnmarshalWire(r *wire.Reader) {
	g.Request = r.Uint64()
	r.Copy(g.Queue[:])
	r.Copy(g.Blob[:])
	g.Offset = r.Uint64()
	g.Length = r.Uint32()
}

// Type returns TypeBlob.
func (*Blob) Type() FrameType { return TypeBlob }

// RequestNumber returns b.Request.
func (b *Blob) RequestNumber() uint64 { return b.Request }

// MarshalWire writes the body.
func (b *Blob) MarshalWire(w *wire.Writer) {
	w.Uint64(b.Request)
	w.Uint64(b.Stored)
	w.Bool(b.Complete)
}

// UnmarshalWire reads the body.
func (b *Blob) UnmarshalWire(r *wire.Reader) {
	b.Request = r.Uint64()
	b.Stored = r.Uint64()
	b.Complete = r.Bool()
}

// Type returns TypeBlobData.
func (*BlobData) Type() FrameType { return TypeBlobData }

// RequestNumber returns b.Request.
func (b *BlobData) RequestNumber() uint64 { return b.Request }

// MarshalWire writes the body.
func (b *BlobData) MarshalWire(w *wire.Writer) {
	w.Uint64(b.Request)
	w.Uint64(b.Size)
	w.Bytes(b.Data)
}

// UnmarshalWire reads the body.
func (b *BlobData) UnmarshalWire(r *wire.Reader) {
	b.Request = r.Uint64()
	b.Size = r.Uint64()
	b.Data = r.Bytes()
}
