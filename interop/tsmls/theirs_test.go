package tsmls

import (
	"time"

	"github.com/sealpost/sealpost/mls"
)

// theirs is a member on ts-mls.
type theirs struct {
	name string
	peer *peer
}

func newTheirs(p *peer, name string, suite mls.Suite, now time.Time) (*theirs, error) {
	notBefore, notAfter := lifetime(now)
	_, err := p.ask("member", name, map[string]any{
		"suite": suite, "credential": map[string]any{"identity": octets(name)}, "supports": []mls.ExtensionType{understood},
		"notBefore": notBefore.Unix(), "notAfter": notAfter.Unix(),
	})
	return &theirs{name, p}, err
}

func (m *theirs) ask(op string, fields map[string]any) (answer, error) {
	return m.peer.ask(op, m.name, fields)
}

func (m *theirs) keyPackage() ([]byte, error) {
	a, err := m.ask("keyPackage", nil)
	return a.KeyPackage, err
}

func (m *theirs) found(group []byte, es []mls.Extension) error {
	_, err := m.ask("found", map[string]any{"group": octets(group), "extensions": extensions(es)})
	return err
}

func (m *theirs) join(welcome, tree []byte) error {
	fields := map[string]any{"welcome": octets(welcome)}
	if tree != nil {
		fields["tree"] = octets(tree)
	}
	_, err := m.ask("join", fields)
	return err
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
	}
	return map[string]any{"update": c.update}
}

func (m *theirs) propose(what change, how manner) ([]byte, error) {
	a, err := m.ask("propose", map[string]any{"what": wanted(what), "aad": octets(how.aad)})
	return a.Message, err
}

func (m *theirs) commit(what []change, how manner) (committed, error) {
	proposals := []any{}
	for _, c := range what {
		proposals = append(proposals, wanted(c))
	}
	a, err := m.ask("commit", map[string]any{"proposals": proposals, "treeInside": how.treeInside, "aad": octets(how.aad)})
	return committed{message: a.Message, welcome: a.Welcome}, err
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
