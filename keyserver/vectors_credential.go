package keyserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
)

// credentialVector is a leaf's identity, or one that no leaf may have.
type credentialVector struct {
	Name       string         `json:"name"`
	Identity   vectorfile.Hex `json:"identity"`
	LeafKey    vectorfile.Hex `json:"leaf_key"`   // of the leaf that carries it
	LeafSuite  uint16         `json:"leaf_suite"` // of that leaf
	Account    vectorfile.Hex `json:"account"`
	Device     vectorfile.Hex `json:"device"`
	DeviceSeed vectorfile.Hex `json:"device_seed"`
	NotAfter   uint64         `json:"not_after"` // Unix seconds, the last of which is in force
	Suite      uint16         `json:"cipher_suite"`
	Signed     vectorfile.Hex `json:"signed"`
	Signature  vectorfile.Hex `json:"signature"`
	Error      string         `json:"error"`
}

func checkCredentialVector(v *credentialVector) error {
	c, err := ParseCredential(v.Identity)
	if err == nil {
		err = c.Verify(v.LeafKey, v.LeafSuite)
	}
	if err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	for n := range v.Identity {
		if _, err := ParseCredential(v.Identity[:n]); !errors.Is(err, wire.ErrTruncated) {
			return fmt.Errorf("its first %d bytes: %v, want truncated", n, err)
		}
	}
	key, err := vectorKey("device", v.DeviceSeed, v.Device)
	if err := vectorfile.First(err,
		vectorfile.Bytes("the account", c.Account[:], v.Account),
		vectorfile.Bytes("the device", c.Device[:], v.Device),
		vectorfile.Value("the end", c.NotAfter, v.NotAfter),
		vectorfile.Value("the suite", c.Suite, v.Suite),
		vectorfile.Bytes("what is signed", c.signed(v.LeafKey, v.Suite), v.Signed),
		vectorfile.Bytes("the signature", c.signature[:], v.Signature)); err != nil {
		return err
	}
	end := time.Unix(int64(v.NotAfter), 0)
	again, err := SignCredential(key, c.Account, v.LeafKey, v.Suite, end)
	return vectorfile.First(err,
		vectorfile.Bytes("the credential signed again", again, v.Identity),
		vectorfile.Value("expired in its last second", c.Expired(end), false),
		vectorfile.Value("expired a second later", c.Expired(end.Add(time.Second)), true))
}
