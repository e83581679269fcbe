package tsmls

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// theirs is a member on ts-mls.
type theirs struct {
	handle string // by which the peer knows it: one name may be in several groups
	peer   *peer
}

func newTheirs(p *peer, id identity, suite mls.Suite, now time.Time) (*theirs, error) {
	notBefore, notAfter := lifetime(now)
	fields := map[string]any{
		"suite": suite, "supports": []mls.ExtensionType{understood},
		"notBefore": notBefore.Unix(), "notAfter": notAfter.Unix(),
	}
	if id.credential.Type == mls.CredentialX509 {
		var chain []octets
		for _, der := range id.credential.Certificates {
			chain = append(chain, der)
		}
		fields["credential"] = map[string]any{"certificates": chain}
	} else {
		fields["credential"] = map[string]any{"identity": octets(id.credential.Identity)}
	}
	if id.key != nil {
		private, err := id.key.MarshalBinary()
		if err != nil {
			return nil, err
		}
		fields["keys"] = map[string]any{"private": octets(private), "public": octets(id.key.Public())}
	}
	p.made++
	m := &theirs{fmt.Sprintf("%s, %d", id.name, p.made), p}
	_, err := m.ask("member", fields)
	return m, err
}

func (m *theirs) ask(op string, fields map[string]any) (answer, error) {
	return m.peer.ask(op, m.handle, fields)
}

func (m *theirs) keyPackage() ([]byte, error) {
	a, err := m.ask("keyPackage", nil)
	return a.KeyPackage, err
}

func (m *theirs) found(group []byte, es []mls.Extension) error {
	_, err := m.ask("found", map[string]any{"group": octets(group), "extensions": extensions(es)})
	return err
}

func (m *theirs) join(welcome, tree []byte, parent member) error {
	fields := map[string]any{"welcome": octets(welcome)}
	if tree != nil {
		fields["tree"] = octets(tree)
	}
	if parent != nil {
		fields["parent"] = parent.(*theirs).handle
	}
	_, err := m.ask("join", fields)
	return err
}

func (m *theirs) grow(parent member, usage string, begin mls.ReInit, packages [][]byte) (committed, error) {
	fields := wanted(change{reInit: &begin})["reInit"].(map[string]any)
	fields["parent"], fields["usage"] = parent.(*theirs).handle, usage
	kps := []octets{}
	for _, b := range packages {
		kps = append(kps, b)
	}
	fields["packages"] = kps
	a, err := m.ask("grow", fields)
	return committed{welcome: a.Welcome}, err
}

// wanted is a change as the peer reads it.
func wanted(c change) map[string]any {
	switch {
	case c.add != nil:
		return map[string]any{"add": octets(c.add)}
	case c.remove != nil:
		return map[string]any{"remove": *c.remove}
	case c.extensions != nil:
		return map[string]any{"extensions": extensions(*c.extensions)}
	case c.psk != nil && c.psk.Resumption != nil:
		return map[string]any{"resumption": map[string]any{"group": octets(c.psk.Resumption.GroupID), "epoch": c.psk.Resumption.Epoch}}
	case c.psk != nil:
		return map[string]any{"psk": octets(c.psk.External)}
	case c.reInit != nil:
		r := c.reInit
		return map[string]any{"reInit": map[string]any{
			"group": octets(r.GroupID), "suite": r.Suite, "extensions": extensions(r.Extensions),
		}}
	}
	return map[string]any{"update": c.update}
}

func (m *theirs) propose(what change, how manner) ([]byte, error) {
	a, err := m.ask("propose", map[string]any{"what": wanted(what), "publicly": how.public, "aad": octets(how.aad)})
	return a.Message, err
}

func (m *theirs) commit(what []change, how manner) (committed, error) {
	proposals := []any{}
	for _, c := range what {
		proposals = append(proposals, wanted(c))
	}
	a, err := m.ask("commit", map[string]any{
		"proposals": proposals, "publicly": how.public, "treeInside": how.treeInside, "aad": octets(how.aad),
	})
	return committed{message: a.Message, welcome: a.Welcome}, err
}

func (m *theirs) know(id mls.PSKID, secret []byte) error {
	fields := wanted(change{psk: &id})
	fields["secret"] = octets(secret)
	_, err := m.ask("know", fields)
	return err
}

func (m *theirs) merge() error {
	_, err := m.ask("merge", nil)
	return err
}

func (m *theirs) process(message []byte) (received, error) {
	a, err := m.ask("process", map[string]any{"message": octets(message)})
	return received{kind: a.Kind, data: a.Data, aad: a.AAD, removed: a.Removed}, err
}

func (m *theirs) encrypt(data, aad []byte) ([]byte, error) {
	a, err := m.ask("encrypt", map[string]any{"data": octets(data), "aad": octets(aad)})
	return a.Message, err
}

func (m *theirs) view() (view, error) {
	a, err := m.ask("view", map[string]any{"label": exportLabel, "context": octets(exportContext), "length": exportLength})
	return a.view, err
}
