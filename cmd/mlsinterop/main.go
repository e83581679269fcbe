// Command mlsinterop puts package mls behind the gRPC interface of the MLS working group's
// test runner, which drives members of several implementations through one script. README.md
// says how to run it against another.
//
// It is for tests: whoever can connect can do anything with any group in it, so it listens on
// loopback unless told otherwise.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Uint("port", 50001, "TCP port to listen on; 0 takes a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *host, *port); err != nil {
		fmt.Fprintln(os.Stderr, "mlsinterop:", err)
		os.Exit(1)
	}
}

// run answers calls until ctx ends.
func run(ctx context.Context, host string, port uint) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)))
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", l.Addr())
	s := newGRPCServer()
	defer context.AfterFunc(ctx, s.GracefulStop)()
	return s.Serve(l)
}
