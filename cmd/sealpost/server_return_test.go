package main

import (
	"flag"
	"slices"
	"sync"
	"testing"
	"time"
)

var clients = flag.Int("clients", 200, "R11: how many clients come back at once")

// TestR11_EverybodyComesBack: the server is killed under its clients, who come back as soon as
// they notice, as many at once as one process can act for. They are served one after the other, and none is refused for good; those
// who are in can send meanwhile. With ten thousand of them, in some minutes:
//
//	go test ./cmd/sealpost -run TestR11_EverybodyComesBack -clients 10000 -v -timeout 20m
func TestR11_EverybodyComesBack(t *testing.T) {
	c := gather(t, *clients, 20)
	defer c.leave()
	begin := time.Now()
	c.in(gently, func(*member) {})
	failures := 0
	for _, m := range c.all {
		failures -= m.failures
	}
	t.Logf("%d came in %v, with %d dials that failed", *clients, time.Since(begin).Round(time.Millisecond), -failures)
	c.server.kill()
	c.start()
	begin = time.Now()
	var mu sync.Mutex
	var back []time.Duration   // when they were
	var talked []time.Duration // how long a message of the first of them took to be accepted
	var talking sync.WaitGroup
	all := make(chan struct{})
	c.in(atOnce, func(m *member) {
		mu.Lock()
		defer mu.Unlock()
		back = append(back, time.Since(begin))
		if len(back) > 10 {
			return
		}
		talking.Go(func() {
			for n := uint64(1); ; n++ {
				since := time.Now()
				if err := m.say(n); err != nil {
					t.Errorf("a client that is back cannot send: %v", err)
					return
				}
				mu.Lock()
				talked = append(talked, time.Since(since))
				mu.Unlock()
				select {
				case <-all:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	})
	close(all)
	talking.Wait()
	lost := 0
	for _, m := range c.all {
		failures += m.failures
		if m.conn == nil {
			t.Fatal("somebody is not in")
		}
		if m.conn.Err() != nil { // it has ended since, on a machine that is slow
			lost++
			m.come()
		}
	}
	slices.Sort(talked)
	of := func(all []time.Duration, percent int) time.Duration {
		return all[(len(all)-1)*percent/100].Round(100 * time.Microsecond)
	}
	t.Logf("after the kill: half of them back in %v, 99 %% in %v, all in %v, with %d dials that failed; %d came twice", of(back, 50), of(back, 99), of(back, 100), failures, lost)
	t.Logf("%d messages of those who were back, meanwhile: accepted in %v (median), %v (99 %%), %v (all)",
		len(talked), of(talked, 50), of(talked, 99), of(talked, 100))
}
