package clientlib

import "errors"

// Errors of the client, each with what to do next.
var (
	// ErrClosed: the client was closed; open the store again.
	ErrClosed = errors.New("clientlib: client is closed")
	// ErrNotRegistered: the store holds no account yet; call Register first.
	ErrNotRegistered = errors.New("clientlib: no account in this store yet")
	// ErrRegistered: the store holds an account with another handle.
	ErrRegistered = errors.New("clientlib: store belongs to another account")
	// ErrNoConversation: no conversation has this id; list them with Conversations.
	ErrNoConversation = errors.New("clientlib: no such conversation")
	// ErrNotMember: this account was removed from the conversation; its history can be read.
	ErrNotMember = errors.New("clientlib: not a member of this conversation any more")
	// ErrTooLarge: the content fits no envelope of 512 KiB; send less.
	ErrTooLarge = errors.New("clientlib: too large for an envelope")
	// ErrNotAllowed: the group's policy does not let this account do that.
	ErrNotAllowed = errors.New("clientlib: the group's policy does not allow it")
	// ErrUnknownAccount: neither the contacts nor the directory know the account.
	ErrUnknownAccount = errors.New("clientlib: no such account")
	// ErrNoSuite: none of these accounts states a cipher suite that this device has, or those that
	// do have none in common; the error names the first that has not.
	ErrNoSuite = errors.New("clientlib: no cipher suite that all of them have")
	// ErrUnsafeStore: the log knows entries of this device that the store does not: the
	// store was copied back from an older state. Sending in that conversation is off until a
	// member has given this device new keys, which it has asked for (EventReplaced).
	ErrUnsafeStore = errors.New("clientlib: store is older than what this device sent")
)
