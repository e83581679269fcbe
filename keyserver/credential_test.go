package keyserver

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestCredential(t *testing.T) {
	device, end := newKey(t), time.Unix(1_800_000_000, 999)
	account, leaf := AccountID{1, 2, 3}, bytes.Repeat([]byte{7}, 32)
	b := must[[]byte](t)(SignCredential(device, account, leaf, 1, end))
	c := must[*Credential](t)(ParseCredential(b))
	if c.Account != account || c.Device != DeviceOf(device) || c.NotAfter != 1_800_000_000 || c.Suite != 1 {
		t.Fatalf("parsed another credential: until %d, suite %d", c.NotAfter, c.Suite)
	}
	if err := c.Verify(leaf, 1); err != nil {
		t.Fatal(err)
	}
	if c.Expired(end) || c.Expired(time.Unix(0, 0)) || !c.Expired(end.Add(time.Second)) {
		t.Fatal("expires at another second")
	}
	if err := c.Verify(leaf, 2); !errors.Is(err, ErrCredential) {
		t.Errorf("leaf of another suite: %v", err)
	}
	if err := c.Verify(leaf[:31], 1); !errors.Is(err, ErrCredential) {
		t.Errorf("another leaf key: %v", err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if c, err := ParseCredential(bad); err == nil {
			err = c.Verify(leaf, 1)
			if !errors.Is(err, ErrCredential) {
				t.Fatalf("byte %d flipped: %v, want ErrCredential", i, err)
			}
		} else if !errors.Is(err, ErrCredential) {
			t.Fatalf("byte %d flipped: %v, want ErrCredential", i, err)
		}
		if _, err := ParseCredential(b[:i]); !errors.Is(err, ErrCredential) {
			t.Fatalf("prefix of %d bytes: %v, want ErrCredential", i, err)
		}
	}
}
