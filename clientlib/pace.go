package clientlib

// pace is how much a client lets be under way on a link, in messages. A network that ends every
// session after some kilobytes lets nothing through if each one begins with more than that: a
// message counts when its answer is here, and a delivery when the whole of it is. So the pace
// falls after a session that brought nothing although there was something to bring, and rises
// with all that gets through. The zero value is the fastest.
type pace struct {
	held  int // below sendAhead
	tried int // what this session was asked for that counts only if something gets through
}

// sendAhead is how many messages of a group may be under way at once. They share one
// transaction and one flush of the disk.
const sendAhead = 64

// windowEach is what a relay may deliver ahead of what is processed, in bytes for each message
// that may be under way: 256 KiB at the fastest. One entry it always may.
const windowEach = 4 << 10

func (p *pace) messages() int  { return sendAhead - p.held }
func (p *pace) window() uint32 { return uint32(p.messages()) * windowEach }

// attached notes that an ATTACH, which was tried, was answered. Where nothing waits to be read,
// that is all that it could bring.
func (p *pace) attached(waits bool) {
	if !waits {
		p.tried--
	}
}

// got notes that so many messages, here or there, are through.
func (p *pace) got(messages int) { p.held = max(0, p.held-messages) }

// ended notes the end of a session.
func (p *pace) ended(useful bool) {
	if p.tried > 0 && !useful {
		p.held = sendAhead - max(1, p.messages()/4)
	}
	p.tried = 0
}
