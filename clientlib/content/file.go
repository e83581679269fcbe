package content

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// How a sealed file of Sealpost stands in an external part (clientlib/PROTOCOL.md).
const (
	// EncAlgSealedFile is the code of the format in which files are sealed, in the private range
	// of IANA's AEAD registry (RFC 5116 section 6: 32768 to 65535).
	EncAlgSealedFile = 0xf5f1
	// fileURL names the blob of that hash in the message's own queue, and nothing elsewhere.
	fileURL = "sealpost:blob:"
)

// Our own limits.
const (
	MaxFiles       = 16      // in one message
	maxFileSize    = 1 << 40 // bytes; no sum of sizes overflows
	maxDescription = 4096    // bytes
)

// ErrFile is the error for an external part that is no file of this conversation: content
// elsewhere, which a client does not fetch (ATTACKS C17: whoever is asked for it learns who
// asks), or fields that no honest client writes. It is final.
var ErrFile = errors.New("content: not a file of this conversation")

// A File is what a message tells of one attached file. The file itself is a blob at the relay.
type File struct {
	Name        string // as [SafeName] leaves it
	Type        string // media type without parameters, as [SafeType] leaves it; a claim of the sender
	Description string
	Inline      bool      // to be shown with the message, rather than saved
	Expires     time.Time // when the relay erases it, to the second; zero if not told
	Size        int64     // bytes of the file as it was
	Key         FileKey
	Hash        [32]byte // SHA-256 of the sealed bytes: the blob's name
}

// LogValue keeps names, keys and hashes out of logs.
func (File) LogValue() slog.Value { return slog.StringValue(redacted) }

// FileKey opens one file. It prints as "redacted", whatever the verb.
type FileKey [32]byte

const redacted = "redacted"

// String hides the key.
func (FileKey) String() string { return redacted }

// GoString hides the key.
func (FileKey) GoString() string { return redacted }

// Format hides the key.
func (FileKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the key from logs.
func (FileKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the key from JSON.
func (FileKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NewAttachment returns a new message that says caption, which may be empty, and points to 1 to
// [MaxFiles] files; with other numbers it fails with [ErrFile]. Names, types and descriptions
// are made safe, so that nobody's folder names leave the device.
func NewAttachment(caption string, files ...File) (*Message, error) {
	if len(files) == 0 || len(files) > MaxFiles {
		return nil, fmt.Errorf("%w: %d files", ErrFile, len(files))
	}
	m := &Message{}
	rand.Read(m.Salt[:]) // never fails
	var parts []Part
	if caption != "" {
		parts = append(parts, Text(caption).Body)
	}
	for _, f := range files {
		p, err := f.part()
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	if m.Body = parts[0]; len(parts) > 1 {
		m.Body = Part{Disposition: Render, Content: Multi{Semantics: ProcessAll, Parts: parts}}
	}
	return m, nil
}

func (f *File) part() (Part, error) {
	if f.Size < 0 || f.Size > maxFileSize {
		return Part{}, fmt.Errorf("%w: %d bytes", ErrFile, f.Size)
	}
	e := External{
		ContentType: SafeType(f.Type), URL: fileURL + hex.EncodeToString(f.Hash[:]), Size: uint64(f.Size),
		EncAlg: EncAlgSealedFile, Key: f.Key[:], HashAlg: HashSHA256, ContentHash: f.Hash[:],
		Description: safeText(f.Description), Filename: SafeName(f.Name),
	}
	if s := f.Expires.Unix(); !f.Expires.IsZero() && s > 0 && s < 1<<32 {
		e.Expires = uint32(s)
	}
	p := Part{Disposition: Attachment, Content: e}
	if f.Inline {
		p.Disposition = Inline
	}
	return p, nil
}

// Files returns the files that m points to, at most [MaxFiles], in the order of its parts. External
// parts that are none of this conversation are left out; [External.File] says why.
func (m *Message) Files() []File {
	var files []File
	for _, p := range m.Parts() {
		e, ok := p.Content.(External)
		if !ok || len(files) == MaxFiles {
			continue
		}
		if f, err := e.File(); err == nil {
			f.Inline = p.Disposition == Inline
			files = append(files, f)
		}
	}
	return files
}

// File reads an external part as a file of the conversation that the message is in. It fails
// with [ErrFile] for everything else.
func (e External) File() (File, error) {
	f := File{
		Name: SafeName(e.Filename), Type: SafeType(e.ContentType), Description: safeText(e.Description), Size: int64(e.Size),
	}
	switch {
	case e.EncAlg != EncAlgSealedFile:
		return File{}, fmt.Errorf("%w: encryption %d", ErrFile, e.EncAlg)
	case len(e.Key) != len(f.Key) || len(e.Nonce) > 0 || len(e.AAD) > 0:
		return File{}, fmt.Errorf("%w: key, nonce or associated data of another format", ErrFile)
	case e.HashAlg != HashSHA256 || len(e.ContentHash) != len(f.Hash):
		return File{}, fmt.Errorf("%w: hash %d", ErrFile, e.HashAlg)
	case e.URL != fileURL+hex.EncodeToString(e.ContentHash):
		return File{}, fmt.Errorf("%w: it lies elsewhere", ErrFile)
	case e.Size > maxFileSize:
		return File{}, fmt.Errorf("%w: %d bytes", ErrFile, e.Size)
	}
	f.Key, f.Hash = FileKey(e.Key), [32]byte(e.ContentHash)
	if e.Expires != 0 {
		f.Expires = time.Unix(int64(e.Expires), 0)
	}
	return f, nil
}

// safeText makes a description fit to be shown: no control or bidirectional characters, and
// not too long.
func safeText(s string) string {
	s = strings.Map(printable, strings.ToValidUTF8(s, "\ufffd"))
	return strings.TrimSpace(cut(s, maxDescription))
}
