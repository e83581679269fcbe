package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
)

// newLog returns the servers' log. Their packages log no id, key or address, but errors of
// the network hold the address of the peer, wherever they are logged: they are cut down to
// what happened here, once for all (ATTACKS R31).
func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutAddress}))
}

func withoutAddress(_ []string, a slog.Attr) slog.Attr {
	err, ok := a.Value.Any().(error)
	if !ok {
		return a
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		a.Value = slog.StringValue("a name does not resolve")
	} else if op, ok := errors.AsType[*net.OpError](err); ok {
		a.Value = slog.StringValue(op.Op + ": " + cause(op.Err).Error())
	} else if _, ok := errors.AsType[*net.AddrError](err); ok {
		a.Value = slog.StringValue("not an address")
	}
	return a
}

// cause is the last error of a chain: the operating system's, which names nobody.
func cause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}
