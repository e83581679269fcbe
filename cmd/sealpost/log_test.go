package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestR31_NetworkErrorsLoseTheirAddresses(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
	reset := &net.OpError{Op: "read", Net: "tcp", Source: addr, Addr: addr, Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	cases := map[string]struct {
		err  error
		want string
	}{
		"reset":   {reset, "connection reset"},
		"wrapped": {fmt.Errorf("session: %w", fmt.Errorf("203.0.113.7: %w", reset)), "connection reset"},
		"joined":  {errors.Join(errors.New("closing"), reset), "connection reset"},
		"name":    {&net.DNSError{Err: "no such host", Name: "203.0.113.7"}, "resolve"},
		"address": {&net.AddrError{Err: "bad", Addr: "203.0.113.7"}, "not an address"},
		"other":   {errors.New("disk is full"), "disk is full"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			log := newLog(&out, slog.LevelDebug)
			log.Debug("ends", "err", c.err)
			log.WithGroup("session").With("err", c.err).Info("ends")
			if strings.Contains(out.String(), "203.0.113.7") || strings.Count(out.String(), c.want) != 2 {
				t.Errorf("%s", out.String())
			}
		})
	}
}
