package clientlib

import "context"

// EpochAuthenticator returns a conversation's epoch and that epoch's authenticator (RFC 9420
// section 8.7). Two members who have the same one agree on all that ever happened in the group:
// its members, their keys and each change. It tells nothing of the keys themselves, so it may be
// compared over any channel. ErrNotMember for a conversation that this device is not in.
func (c *Client) EpochAuthenticator(ctx context.Context, id ConversationID) (epoch uint64, authenticator []byte, err error) {
	err = c.eng.call(ctx, func() error {
		switch g := c.eng.primary(id); {
		case c.eng.convs[id] == nil:
			return ErrNoConversation
		case g == nil:
			return ErrNotMember
		default:
			epoch, authenticator = g.mls.Epoch(), g.mls.EpochAuthenticator()
			return nil
		}
	})
	return epoch, authenticator, err
}
