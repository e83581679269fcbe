package relayserver

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/jitter"
)

// Shutdown drains: new connections and requests are refused, readers are told when to
// reconnect, requests already read are answered once they are on disk; then the sessions
// and the store are closed. If ctx ends first, the sessions are cut and ctx's error is
// returned; nothing that was answered ACCEPTED is lost either way. Call it once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	peers := make([]*peer, 0, len(s.peers))
	for p := range s.peers {
		peers = append(peers, p)
	}
	s.mu.Unlock()
	s.store.StopWaking() // before the readers are sent away
	s.cancel()
	for i, after := range s.advice(len(peers)) {
		peers[i].drain(after)
	}
	drained := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(drained)
	}()
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = ctx.Err()
		cut(peers)
		<-drained
	}
	s.log.Info("relay drained", "sessions", len(peers), "in_time", err == nil)
	return errors.Join(err, s.store.Close(), s.blobs.Close())
}

// cut ends sessions, all at once: each may take a moment for its last frame.
func cut(peers []*peer) {
	var all sync.WaitGroup
	for _, p := range peers {
		all.Go(func() { _ = p.session.Close() })
	}
	all.Wait()
}

// advice returns for each of n sessions when its client is to come back. A relay that is
// started again gets them at a rate that it can take, since each costs it a handshake and as
// many proofs as it has queues, and not all of them in the same second (ATTACKS R37).
func (s *Server) advice(n int) []time.Duration {
	all := make([]time.Duration, n)
	each := time.Second / time.Duration(s.limits.ReconnectsPerSecond)
	for i := range all {
		all[i] = reconnect + time.Duration(i)*each + jitter.Below(max(each, reconnect))
	}
	return all
}
