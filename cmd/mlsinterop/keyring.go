package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

// maxPSKs bounds the external keys of one member, and the epochs whose resumption secrets it
// has.
const maxPSKs = 1024

var errNoPSK = errors.New("no such pre-shared key")

// keyring holds a member's pre-shared keys: external ones and the resumption secrets of its
// epochs.
type keyring struct {
	keys   map[string][]byte
	epochs []string // names of the resumption secrets, oldest first
}

// named is a PSKID as a key of a map.
func named(id mls.PSKID) string {
	if r := id.Resumption; r != nil {
		return "resumption " + string(binary.BigEndian.AppendUint64(nil, r.Epoch)) + string(r.GroupID)
	}
	return "external " + string(id.External)
}

// externalID names an external key, whose id may be empty but not nil.
func externalID(id []byte) mls.PSKID { return mls.PSKID{External: append([]byte{}, id...)} }

// PSK implements [mls.PSKSource].
func (k *keyring) PSK(id mls.PSKID) ([]byte, error) {
	if key, ok := k.keys[named(id)]; ok {
		return append([]byte(nil), key...), nil
	}
	return nil, errNoPSK
}

func (k *keyring) put(name string, key []byte) {
	if k.keys == nil {
		k.keys = map[string][]byte{}
	}
	k.keys[name] = key
}

// add keeps an external key.
func (k *keyring) add(id, key []byte) error {
	if len(k.keys)-len(k.epochs) >= maxPSKs {
		return fmt.Errorf("%w: %d pre-shared keys", mls.ErrLimit, maxPSKs)
	}
	k.put(named(externalID(id)), key)
	return nil
}

// remember keeps the resumption secret of an epoch that begins, and drops the oldest for it.
func (k *keyring) remember(e *mls.EpochView) {
	id, key := e.ResumptionPSK()
	name := named(id)
	k.put(name, key)
	k.epochs = append(k.epochs, name)
	if len(k.epochs) > maxPSKs {
		delete(k.keys, k.epochs[0])
		k.epochs = k.epochs[1:]
	}
}

func (s *server) StorePSK(_ context.Context, req *mlsclient.StorePSKRequest) (*mlsclient.StorePSKResponse, error) {
	id := req.GetStateOrTransactionId()
	var keys *keyring
	if m, err := find[*member](&s.kept, id); err == nil {
		keys = m.keys
	} else if j, err := find[*joiner](&s.kept, id); err == nil {
		keys = j.keys
	} else {
		return nil, fmt.Errorf("%w: neither state nor transaction %d", errUnknown, id)
	}
	return &mlsclient.StorePSKResponse{}, keys.add(req.GetPskId(), req.GetPskSecret())
}
