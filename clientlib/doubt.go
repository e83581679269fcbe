package clientlib

import (
	"errors"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/jitter"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// errRival: since a loss another commit ends an epoch whose end, as it was before, this device has
// followed. Members can be on both sides; those who lost the race come over.
var errRival = errors.New("clientlib: another commit counts since the relay's loss")

// unread judges a COMMIT that did not open. After a loss it may be a commit of an epoch that this
// device has left, or of one that it cannot know yet.
func (e *engine) unread(g *group, en *relayclient.Entry, d *delivery) error {
	if k := g.endedEpoch(en.Envelope); k != nil {
		lacking := g.rec.Loss == lossUnsure || g.owes() && k.Epoch >= g.rec.Owed
		if lacking && k.Envelope != envelopeHash(en.Envelope) {
			g.rec.Rival = k.Epoch + 1
			return errRival
		}
		return nil
	}
	g.rec.Unopened++
	if g.rec.Doubt == 0 {
		g.rec.Doubt, g.probed = time.Now().UnixMilli(), false
		d.after = append(d.after, func() { e.doubtLater(g) })
	}
	return nil
}

// doubtLater looks after a while whether anything of another member's has opened. It is called once
// for each doubt in each run.
func (e *engine) doubtLater(g *group) {
	if g.doubting {
		return
	}
	g.doubting = true
	e.after(e.patience()+jitter.Below(e.patience()/2), func() {
		g.doubting = false
		e.doubt(g)
	})
}

// doubt ends waiting for commits that might lead to one that did not open. That one may be a dud,
// and everybody in the same doubt: so this device commits, and whoever is in its epoch follows and
// is rid of the doubt. If what comes then does not open either, it is this device that is behind, and
// that nobody gives the commits back that it lacks.
func (e *engine) doubt(g *group) {
	if g.rec.Doubt == 0 || !g.live() {
		return
	}
	if !g.probed {
		g.probed, g.rec.Unopened = true, 0
		e.doubtLater(g)
		e.demandRenewal(g)
		return
	}
	_ = e.update(func(tx *state.Tx) error {
		unopened := g.rec.Unopened
		if g.opened(); unopened == 0 {
			return g.saveRecord(tx)
		}
		return e.stuck(tx, g, g.cursor.Seq, "commits are among the entries that the relay lost")
	})
}

// opened notes that something opened which another member said in this device's epoch. It reports
// whether that ends a doubt.
func (g *group) opened() bool {
	was := g.rec.Doubt != 0
	g.rec.Doubt, g.rec.Unopened = 0, 0
	return was
}
