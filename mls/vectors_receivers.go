package mls

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// ruleMember is a KeyPackage with its secrets, and the Welcome that its owner joined with.
type ruleMember struct {
	KeyPackage     hexBytes    `json:"key_package"`
	InitPriv       hexBytes    `json:"init_priv"`
	EncryptionPriv hexBytes    `json:"encryption_priv"`
	SignaturePriv  hexBytes    `json:"signature_priv"`
	Welcome        hexBytes    `json:"welcome,omitempty"`  // holds the tree
	Messages       []hexBytes  `json:"messages,omitempty"` // since then, of a parent
	Parent         *ruleMember `json:"parent,omitempty"`   // in the group that this one comes from
}

// ruleApplication is what all cases suppose: one component, whose updates are appended, and
// one external pre-shared key.
var ruleApplication = Application{AppData: ruleData{}, PSKs: ruleData{}}

type ruleData struct{}

func (ruleData) UpdateAppData(id ComponentID, current []byte, updates [][]byte) ([]byte, error) {
	if id != 0x8001 {
		return nil, errUnknownComponent
	}
	for _, u := range updates {
		current = append(current, u...)
	}
	return current, nil
}

func (ruleData) PSK(id PSKID) ([]byte, error) {
	if string(id.External) != "known" {
		return nil, errors.New("no such pre-shared key")
	}
	return []byte("a secret of all"), nil
}

// ruleReceiver is somebody who takes messages, and whose state shows a trace that one leaves.
type ruleReceiver struct {
	who   string
	take  func([]byte) error
	state func() ([]byte, error)
}

func stateless() ([]byte, error) { return nil, nil }

// receivers are those whom the case names.
func (v *ruleVector) receivers(s *suite) ([]ruleReceiver, error) {
	switch v.Action {
	case actVerify:
		return []ruleReceiver{{"who adds", v.verify, stateless}}, nil
	case actJoin:
		return v.joiner()
	case actFollow:
		return []ruleReceiver{{"who follows", func(b []byte) error {
			_, err := NewPublicGroup(b, nil, ruleApplication)
			return err
		}, stateless}}, nil
	case actJoinExternal:
		return []ruleReceiver{{"who joins", func(b []byte) error { return v.joinExternal(s, b) }, stateless}}, nil
	case actCheck:
		g, err := v.follower()
		if err != nil {
			return nil, err
		}
		return []ruleReceiver{{"who follows", g.View().CheckGroupInfo, g.MarshalBinary}}, nil
	case actProcess:
		return v.processing()
	}
	return nil, fmt.Errorf("action %q is unknown", v.Action)
}

// verify takes a KeyPackage as an MLSMessage.
func (v *ruleVector) verify(b []byte) error {
	m, err := parse(b, readMessage)
	if err != nil {
		return err
	}
	if m.keyPackage == nil {
		return errors.New("no KeyPackage")
	}
	kp, err := ParseKeyPackage(m.keyPackage.Bytes())
	if err != nil {
		return err
	}
	return kp.Verify(v.now(), nil)
}

func (v *ruleVector) joinExternal(s *suite, b []byte) error {
	key, err := s.id.GenerateSignatureKey()
	if err != nil {
		return err
	}
	_, _, err = JoinExternal(b, ExternalParams{
		Application: ruleApplication, Credential: Credential{Type: CredentialBasic, Identity: []byte("joiner")},
		SignatureKey: key, SupportedExtensions: []ExtensionType{0xf0a1}, Now: v.now(),
	})
	return err
}

func (v *ruleVector) joiner() ([]ruleReceiver, error) {
	if v.Member == nil {
		return nil, nil
	}
	secrets, err := v.Member.secrets()
	if err != nil {
		return nil, err
	}
	p := JoinParams{Application: ruleApplication, Now: v.now()}
	if v.Member.Parent != nil {
		if p.Parent, err = v.Member.Parent.group(nil); err != nil {
			return nil, err
		}
	}
	return []ruleReceiver{{"who joins", func(b []byte) error {
		_, err := Join(b, secrets, p)
		return err
	}, stateless}}, nil
}

// processing are a member and who follows the group, as far as the case has them.
func (v *ruleVector) processing() (all []ruleReceiver, err error) {
	if v.Member != nil {
		g, err := v.Member.group(v.Messages)
		if err != nil {
			return nil, err
		}
		g.Save()
		g.Saved()
		all = append(all, ruleReceiver{"member", func(b []byte) error {
			_, err := g.Process(b)
			return err
		}, func() ([]byte, error) {
			var w wire.Writer
			for _, r := range g.Save() { // what has changed
				w.Bytes([]byte(r.Key))
				w.Bytes(r.Value)
			}
			return w.Finish()
		}})
	}
	if len(v.GroupInfo) > 0 {
		g, err := v.follower()
		if err != nil {
			return nil, err
		}
		all = append(all, ruleReceiver{"who follows", func(b []byte) error {
			_, err := g.Process(b)
			return err
		}, g.MarshalBinary})
	}
	return all, nil
}

// follower is who follows the group from outside.
func (v *ruleVector) follower() (*PublicGroup, error) {
	g, err := NewPublicGroup(v.GroupInfo, nil, ruleApplication)
	if err != nil {
		return nil, err
	}
	for _, m := range v.Messages {
		r, err := g.Process(m)
		if err != nil {
			return nil, err
		}
		if c, ok := r.(*PublicCommit); ok {
			if err := g.Merge(c); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

func (m *ruleMember) secrets() (*KeyPackageSecrets, error) {
	kp, err := parse(m.KeyPackage, readMessage)
	if err != nil {
		return nil, err
	}
	if kp.keyPackage == nil {
		return nil, errors.New("key_package is none")
	}
	s, err := kp.keyPackage.suite.lookup()
	if err != nil {
		return nil, err
	}
	v := passiveVector{KeyPackage: m.KeyPackage, InitPriv: m.InitPriv, EncryptionPriv: m.EncryptionPriv, SignaturePriv: m.SignaturePriv}
	return v.secrets(s)
}

// group is the member's, after its own messages and some more.
func (m *ruleMember) group(more []hexBytes) (*Group, error) {
	secrets, err := m.secrets()
	if err != nil {
		return nil, err
	}
	g, err := Join(m.Welcome, secrets, JoinParams{Application: ruleApplication})
	if err != nil {
		return nil, err
	}
	for _, b := range slices.Concat(m.Messages, more) {
		r, err := g.Process(b)
		if err != nil {
			return nil, err
		}
		if c, ok := r.(*StagedCommit); ok {
			if err := g.Merge(c); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}
