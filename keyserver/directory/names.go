package directory

import (
	"encoding/binary"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// The kinds of records, first byte of their names. Those of groupstate differ, so that
// records of the two stores cannot be exchanged when both have one storage key.
const (
	kindAccount byte = 0x41 // → accountRecord
	kindHandle  byte = 0x42 // → account id
	kindPool    byte = 0x43 // → poolRecord
	kindPackage byte = 0x44 // ‖ seq → packageRecord
	kindRef     byte = 0x45 // → refRecord: the pool has seen this package
	kindInit    byte = 0x46 // → nothing: the pool has seen this init key
	kindTaken   byte = 0x47 // → takenRecord: what a request id was given
	kindDue     byte = 0x48 // ‖ day ‖ a name → nothing: from this day on the named record may go
	kindDay     byte = 0x49 // → the day by which things expire (package calendar)
)

// names derives the database keys: shard.Store.Name, under which no id can be read.
type names func(kind byte, ids ...[]byte) []byte

func (n names) account(a keyserver.AccountID) []byte { return n(kindAccount, a[:]) }
func (n names) handle(h string) []byte               { return n(kindHandle, []byte(h)) }
func (n names) taken(q *keyserver.TakeRequest) []byte {
	return n(kindTaken, q.RequestID[:], q.Account[:], binary.BigEndian.AppendUint16(nil, uint16(q.Suite)))
}

// owner is whose pool it is. A device key may stand in two accounts; their pools are two. A
// device has one of each suite that it states.
type owner struct {
	account keyserver.AccountID
	device  keyserver.DeviceID
	suite   mls.Suite
}

// of names something of a pool.
func (n names) of(kind byte, o owner, more ...[]byte) []byte {
	suite := binary.BigEndian.AppendUint16(nil, uint16(o.suite))
	return n(kind, append([][]byte{o.account[:], o.device[:], suite}, more...)...)
}

func (n names) pool(o owner) []byte { return n.of(kindPool, o) }
func (n names) pack(o owner, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(n.of(kindPackage, o), seq)
}

// ref and init are scoped to the pool: a stranger who knows a package from a contact card
// cannot block its upload by uploading its init key first.
func (n names) ref(o owner, ref []byte) []byte  { return n.of(kindRef, o, ref) }
func (n names) init(o owner, key []byte) []byte { return n.of(kindInit, o, key) }

// due is in clear but for the name inside: the sweep walks it by day.
func due(day uint32, name []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kindDue}, day), name...)
}

// dueParts is the inverse of due.
func dueParts(key []byte) (day uint32, name []byte) {
	return binary.BigEndian.Uint32(key[1:]), key[5:]
}

// dayKey holds the store's day.
var dayKey = []byte{kindDay}
