package clientlib

import (
	"errors"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// configureJob is a CONFIGURE on its way; owned by run.
type configureJob struct {
	id     uint64
	rec    configureRow
	flying bool
}

func (e *engine) queueConfigure(tx *state.Tx, row configureRow, d *delivery) error {
	id, err := tx.NextID(bucketConfigure)
	if err != nil {
		return err
	}
	if err := putRecord(tx, bucketConfigure, counterKey(id), row); err != nil {
		return err
	}
	d.after = append(d.after, func() {
		if g := e.groups[row.Group]; g != nil && g.live() { // not left by the same delivery
			e.configure[id] = &configureJob{id: id, rec: row}
			e.flushConfigure()
		}
	})
	return nil
}

// flushConfigure sends what waits for relays that are up.
func (e *engine) flushConfigure() {
	for _, j := range inOrder(e.configure) {
		g := e.groups[j.rec.Group]
		if j.flying || g == nil || !g.live() {
			continue
		}
		l := e.linkTo(g.rec.Relay)
		if l == nil || l.conn == nil || g.rec.State != groupActive {
			continue
		}
		var change relay.Change = relay.SetAdmins{Keys: j.rec.Admins}
		switch {
		case j.rec.RemoveReader != nil:
			change = relay.RemoveReader{Key: *j.rec.RemoveReader}
		case j.rec.Named != nil:
			change = relay.SetNamedWriting{On: *j.rec.Named}
		}
		j.flying = true
		call := l.conn.Configure(g.rec.Queue, j.rec.ID, e.id.Secret.adminKey(g.rec.Queue), change)
		e.answer(l, call, func(_ relay.Position, err error) { e.configured(j, err) })
	}
}

// configured ends a CONFIGURE. A refusal is final unless waiting helps: the reader is gone
// already, or this device's admin key is not known yet, in which case another admin does it.
func (e *engine) configured(j *configureJob, err error) {
	j.flying = false
	if errors.Is(err, relayclient.ErrDisconnected) {
		return
	}
	if errors.Is(err, relay.ErrLimit) || errors.Is(err, relay.ErrBusy) || errors.Is(err, relay.ErrDraining) {
		e.after(retryAfter(err), e.flushConfigure)
		return
	}
	if err != nil {
		e.log.Info("relay refused a configuration", "error", refusalName(err))
	}
	_ = e.update(func(tx *state.Tx) error {
		delete(e.configure, j.id)
		return tx.Delete(bucketConfigure, counterKey(j.id))
	})
}
