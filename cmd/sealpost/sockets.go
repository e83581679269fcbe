package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// portTries bounds the search for a port that is free for TCP and UDP at once.
const portTries = 16

// sendBuffer is how much the system holds, in bytes, of what a client of a TCP connection has not
// acknowledged: as much as a session over QUIC has on its way (ATTACKS R09). By itself Linux lets it grow
// to 4 MiB for whoever has taken much before, and it counts in no budget of ours.
const sendBuffer = 512 << 10

// sockets are those of one address.
type sockets struct {
	config     listenerConfig
	tcp        net.Listener
	udp        net.PacketConn // nil without QUIC
	second     bool           // another address of the same listener, which nobody needs to be told
	challenges bool           // for an authority's HTTP-01 challenges, in plain and alone
}

func (s sockets) close() error {
	var err error
	if s.udp != nil {
		err = s.udp.Close()
	}
	return errors.Join(err, s.tcp.Close())
}

// openSockets opens all that cfg listens on, or nothing. It comes before the stores, so that a
// second server on the same port is told so before it touches anything.
func openSockets(cfg serveConfig) ([]sockets, error) {
	var all []sockets
	for _, l := range cfg.listeners() {
		opened, err := openAddress(l)
		if err != nil {
			return nil, errors.Join(err, closeSockets(all))
		}
		all = append(all, opened...)
	}
	if cfg.ACME.HTTP != "" {
		l, err := net.Listen("tcp", cfg.ACME.HTTP)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("acme.http: %w", err), closeSockets(all))
		}
		all = append(all, sockets{tcp: l, challenges: true})
	}
	return all, nil
}

func closeSockets(all []sockets) error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// openAddress opens the sockets of one address. Port 0 is any port that is free for all of
// them.
func openAddress(l listenerConfig) ([]sockets, error) {
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return nil, err
	}
	hosts := []string{host}
	if host == "localhost" {
		hosts = []string{"127.0.0.1", "::1"} // browsers try either first, and QUIC tells no one that a port is closed
	}
	if port != "0" {
		return openHosts(l, hosts, port)
	}
	for range portTries {
		var opened []sockets
		if opened, err = openHosts(l, hosts, port); !errors.Is(err, syscall.EADDRINUSE) {
			return opened, err
		}
	}
	return nil, err
}

// openHosts opens TCP, and UDP if l has it, at the same port of each host. The first host
// decides what port 0 is; others may be missing on this machine.
func openHosts(l listenerConfig, hosts []string, port string) ([]sockets, error) {
	var opened []sockets
	listen := net.ListenConfig{Control: boundSends}
	for i, host := range hosts {
		s := sockets{config: l, second: i > 0}
		var err error
		if s.tcp, err = listen.Listen(context.Background(), "tcp", net.JoinHostPort(host, port)); err != nil {
			if i > 0 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
				continue
			}
			return nil, errors.Join(taken(err, l, "TCP"), closeSockets(opened))
		}
		port = strconv.Itoa(s.tcp.Addr().(*net.TCPAddr).Port)
		if l.quic() {
			if s.udp, err = net.ListenPacket("udp", s.tcp.Addr().String()); err != nil {
				return nil, errors.Join(taken(err, l, "UDP"), s.tcp.Close(), closeSockets(opened))
			}
		}
		opened = append(opened, s)
	}
	return opened, nil
}

// taken says what to do about a port that is in use.
func taken(err error, l listenerConfig, network string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%s is taken for %s, perhaps by another sealpost serve: stop that one, or choose another port with --listen HOST:PORT: %w",
		l.Address, network, syscall.EADDRINUSE)
}
