package mls

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// AppDataUpdate is a proposal (draft-ietf-mls-extensions) that changes what one component has
// in the dictionary of the group context, without carrying the rest of it and without a path.
type AppDataUpdate struct {
	Component ComponentID
	Remove    bool   // erases the component's entry; Update is then empty
	Update    []byte // means what [AppDataLogic] says it means
}

const (
	appDataUpdate = 1
	appDataRemove = 2
)

func writeAppDataUpdate(w *wire.Writer, u AppDataUpdate) {
	w.Uint16(uint16(u.Component))
	if u.Remove {
		w.Uint8(appDataRemove)
		return
	}
	w.Uint8(appDataUpdate)
	w.Bytes(u.Update)
}

func readAppDataUpdate(r *wire.Reader) AppDataUpdate {
	u := AppDataUpdate{Component: ComponentID(r.Uint16())}
	switch op := r.Uint8(); op {
	case appDataUpdate:
		u.Update = r.Bytes()
	case appDataRemove:
		u.Remove = true
	default:
		if r.Err() == nil {
			r.Fail(errors.New("operation of AppDataUpdate"))
		}
	}
	return u
}

func (u AppDataUpdate) clone() AppDataUpdate {
	u.Update = bytes.Clone(u.Update)
	return u
}

func (u AppDataUpdate) proposal() *proposal {
	return &proposal{kind: ProposalAppDataUpdate, appData: new(u.clone())}
}

// AppDataLogic says what the updates of a component's data mean. It is part of the public
// checks of a commit: a pure function of its arguments, alike for all members.
type AppDataLogic interface {
	// UpdateAppData returns the component's new data, from what it has (nil if nothing) and
	// the updates of one commit in their order. An error refuses the commit; it is the answer
	// for a component that the application does not know, too.
	UpdateAppData(component ComponentID, current []byte, updates [][]byte) ([]byte, error)
}

var errUnknownComponent = errors.New("component is unknown to the application")

// applyAppData applies the AppDataUpdates of a list to the context's dictionary, after the
// proposals of RFC 9420.
func (p *plan) applyAppData() error {
	if err := p.keepsDictionary(); err != nil {
		return err
	}
	var order []ComponentID
	byComponent := map[ComponentID][]AppDataUpdate{}
	for _, l := range p.list {
		if l.proposal.kind == ProposalAppDataUpdate {
			u := l.proposal.appData
			if byComponent[u.Component] == nil {
				order = append(order, u.Component)
			}
			byComponent[u.Component] = append(byComponent[u.Component], *u)
		}
	}
	if len(order) == 0 {
		return nil
	}
	entries, _, err := dictionary(p.extensions)
	if err != nil {
		return err
	}
	data := make(map[ComponentID][]byte, len(entries))
	for _, e := range entries {
		data[e.Component] = e.Data
	}
	for _, id := range order {
		if err := p.updateComponent(data, id, byComponent[id]); err != nil {
			return err
		}
	}
	entries = make([]ComponentData, 0, len(data))
	for _, id := range slices.Sorted(maps.Keys(data)) {
		entries = append(entries, ComponentData{Component: id, Data: data[id]})
	}
	p.extensions, err = withDictionary(p.extensions, entries)
	p.newExtension = true
	return err
}

// updateComponent changes what a dictionary has of one component.
func (p *plan) updateComponent(data map[ComponentID][]byte, id ComponentID, list []AppDataUpdate) error {
	current, present := data[id]
	if list[0].Remove && len(list) == 1 {
		if !present {
			return broken("app-data.absent", "component %#04x has nothing to remove", uint16(id))
		}
		delete(data, id)
		return nil
	}
	var updates [][]byte
	for _, u := range list {
		if u.Remove {
			return broken("app-data.operations", "component %#04x is removed and changed", uint16(id))
		}
		updates = append(updates, bytes.Clone(u.Update))
	}
	if p.app.AppData == nil {
		return brokenBy("app-data.component", errUnknownComponent, "component %#04x", uint16(id))
	}
	now, err := p.app.AppData.UpdateAppData(id, bytes.Clone(current), updates)
	if err != nil {
		return brokenBy("app-data.component", err, "component %#04x", uint16(id))
	}
	data[id] = now
	return nil
}

// keepsDictionary verifies that a GroupContextExtensions proposal leaves the dictionary alone
// in a group that requires AppDataUpdate for that.
func (p *plan) keepsDictionary() error {
	if !p.newExtension {
		return nil
	}
	data, ok := findExtension(p.base.ctx.extensions, ExtensionRequiredCapabilities)
	if !ok {
		return nil
	}
	required, err := parseRequiredCapabilities(data)
	if err != nil || !slices.Contains(required.proposals, ProposalAppDataUpdate) {
		return err
	}
	before, had := findExtension(p.base.ctx.extensions, ExtensionAppDataDictionary)
	after, has := findExtension(p.extensions, ExtensionAppDataDictionary)
	if had != has || !bytes.Equal(before, after) {
		return broken("app-data.group-extensions", "GroupContextExtensions changes the dictionary")
	}
	return nil
}

// AppData is what a component has in the dictionary of the group context.
func (e *PublicView) AppData(id ComponentID) ([]byte, bool) {
	list, _, err := dictionary(e.ctx.extensions)
	if err != nil {
		return nil, false // a context is not accepted with such a dictionary
	}
	data, ok := findComponent(list, id)
	return bytes.Clone(data), ok
}
