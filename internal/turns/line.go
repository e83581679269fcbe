package turns

import "net/netip"

// line is who waits in one stage: in order within a network, and network by network.
type line struct {
	networks map[netip.Prefix]*crowd // those that wait; no crowd is empty
	order    []*crowd                // the first has the next turn
}

// crowd is who waits of one network.
type crowd struct {
	network netip.Prefix
	waiting []*waiter
}

func newLine() line { return line{networks: make(map[netip.Prefix]*crowd)} }

// push puts w behind all others of its network.
func (l *line) push(network netip.Prefix, w *waiter) {
	c := l.networks[network]
	if c == nil {
		c = &crowd{network: network}
		l.networks[network] = c
		l.order = append(l.order, c)
	}
	c.waiting = append(c.waiting, w)
}

// pop returns the first of the network whose turn it is, which then stands behind the others;
// nil if nobody waits. Whoever has gone is passed over, and costs its network nothing.
func (l *line) pop() *waiter {
	for len(l.order) > 0 {
		c := l.order[0]
		l.order[0] = nil
		l.order = l.order[1:]
		w := c.first()
		if len(c.waiting) > 0 {
			l.order = append(l.order, c)
		} else {
			delete(l.networks, c.network) // else the map grows with every network ever seen
		}
		if w != nil {
			return w
		}
	}
	return nil
}

// first takes the first who is still there out of the crowd.
func (c *crowd) first() *waiter {
	for len(c.waiting) > 0 {
		w := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		if !w.gone {
			return w
		}
	}
	return nil
}
